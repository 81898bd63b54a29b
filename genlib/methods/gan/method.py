"""Generative adversarial network (Goodfellow et al. 2014, Algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.augment import Augment
from genlib.layers.spectral_norm import update_spectral_norms
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.penalties import Penalty
from genlib.models.base import Batch, GenerativeModel, Losses, Method, Phase
from genlib.models.collapse import diversity, symptoms_of_players
from genlib.models.optimizer import OptimizerConfig
from genlib.models.sampler import Sampler


class GAN(Method):
    """k turns of the discriminator, each on fresh images and fresh latents, then one of the generator: on fresh images
    too where its loss compares fakes with reals (Huang et al. 2024), else on those of the first turn.

    The discriminator gives a score for each `pack` of images; a penalty or spectral normalization may limit its slope.
    Reals and fakes may be augmented before it sees them, and the penalty is on its slope at the images before that.
    Fakes have the conditions of the batch's reals, and may be drawn to these by the mean absolute difference, weighted
    (Isola et al. 2017, eq. 4).
    """

    def __init__(
        self,
        generator: Sampler,
        discriminator: nn.Module,
        adversarial_loss: AdversarialLoss,
        generator_optimizer: OptimizerConfig,
        discriminator_optimizer: OptimizerConfig,
        discriminator_steps: int,
        penalty: Penalty,
        augmentation: Augment,
        reconstruction_weight: float = 0.0,
        pack: int = 1,
    ) -> None:
        super().__init__()
        self.model = GenerativeModel(generator)
        self.discriminator, self.pack = discriminator, pack
        self.adversarial_loss = adversarial_loss
        self.penalty = penalty
        self.reconstruction_weight = reconstruction_weight
        self.augmentation = augmentation
        self.variant = penalty.is_due(0)  # whether this step has a penalty
        self.phases = (
            Phase("discriminator", discriminator, discriminator_optimizer, discriminator_steps),
            Phase("generator", generator, generator_optimizer, own_images=adversarial_loss.compares),
        )
        undecided = adversarial_loss.discriminator(*torch.zeros(2, 1, device="cpu")).item()
        self.symptoms = symptoms_of_players("discriminator/adversarial", undecided)

    def begin_step(self, step: int) -> None:
        self.variant = self.penalty.is_due(step)

    def loss(self, phase: str, batch: Batch) -> Losses:
        return self.generator_loss(batch) if phase == "generator" else self.discriminator_loss(batch)

    def generator_loss(self, batch: Batch) -> Losses:
        drawn = self.fakes(batch)
        fake = self.scores(self.augmentation(drawn), batch.given)
        real = None
        if self.adversarial_loss.compares:
            real = self.scores(self.augmentation(batch.images), batch.given)
        total = self.adversarial_loss.generator(fake, real).mean()
        if not self.reconstruction_weight:
            return {"total": total}
        reconstruction = (drawn - batch.images).abs().mean()
        return {
            "total": total + self.reconstruction_weight * reconstruction,
            "adversarial": total,
            "reconstruction": reconstruction,
        }

    def discriminator_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():  # The generator must not move to please the discriminator.
            drawn = self.fakes(batch)
            fakes, reals = self.augmentation(drawn), self.augmentation(batch.images)
        real, fake = self.scores(reals, batch.given), self.scores(fakes, batch.given)
        total = self.adversarial_loss.discriminator(real, fake).mean()
        losses = {"total": total, "adversarial": total, "real_score": real.mean(), "fake_score": fake.mean()}
        losses["diversity"] = diversity(drawn, batch.images)
        if self.variant:
            packs = [images.unflatten(0, (-1, self.pack)) for images in (batch.images, drawn)]
            penalty = self.penalty.of(lambda images: self.judged(images, batch.given), *packs).mean()
            losses["total"] = total + self.penalty.strength * penalty
            losses["penalty"] = penalty
        return losses | self.augmentation.statistics(real)

    @torch.no_grad()
    def after_update(self, phase: str, statistics: Losses) -> None:
        if phase == "discriminator":
            update_spectral_norms(self.discriminator)
            self.penalty.after_update(self.discriminator)
            self.augmentation.follow(statistics, self.pack)

    def fakes(self, batch: Batch) -> Tensor:
        """One image in [-1, 1] for each of the batch's, (B, C, H, W)."""
        generator = self.model.sampler
        latents = torch.randn(len(batch.images), generator.latent_size, device=batch.images.device)
        return generator(latents, batch.given)

    def scores(self, images: Tensor, given: Tensor | None) -> Tensor:
        """A score for each pack of images, (B / pack,), or for each patch of an image, (B, P)."""
        return self.discriminator(images, given).float()

    def judged(self, packs: Tensor, given: Tensor | None) -> Tensor:
        """Packs before augmentation, (B / pack, pack, ...) => a score each, or its patches' mean score, (B / pack,)."""
        scores = self.scores(self.augmentation(packs.flatten(0, 1)), given)
        return scores if scores.dim() == 1 else scores.mean(1)
