"""Generative adversarial network (Goodfellow et al. 2014), Algorithm 1, with what has been added to it since."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlib.augmentation.ada import AdaptiveAugment
from genlib.augmentation.diffaugment import DiffAugment
from genlib.layers.discriminator import Discriminator
from genlib.layers.spectral_norm import update_spectral_norms
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.penalties import PENALTIES, Penalty, clip_weights_
from genlib.methods.gan.config import (
    ADAConfig,
    DiffAugmentConfig,
    GradientPenaltySection,
    NoAugmentation,
    PenaltyConfig,
)
from genlib.models.base import Batch, GenerativeModel, Losses, Method, Phase
from genlib.models.collapse import diversity, symptoms_of_players
from genlib.models.optimizer import OptimizerConfig
from genlib.models.sampler import Sampler
from genlib.networks.unet.modules import PatchDiscriminator


class LazyPenalty(NamedTuple):
    """A gradient penalty at every so many steps, as strong as if it were at each (Karras et al. 2020, appendix B)."""

    penalty: Penalty
    weight: float
    every: int = 1


class GAN(Method):
    """k turns of the discriminator, each on fresh images and fresh latents, then one of the generator: on fresh images
    too where its loss compares fakes with reals (Huang et al. 2024), else on those of the first turn.

    The discriminator may be held by a penalty, by limits to its weights (`clip`) or by spectral normalization; reals
    and fakes may be augmented before it sees them, and a penalty is on its slope at the images before that. Fakes are
    of what is given of the batch's reals, and may be drawn to them by the mean absolute difference, weighted (Isola et
    al. 2017, eq. 4).
    """

    def __init__(
        self,
        generator: Sampler,
        discriminator: Discriminator | PatchDiscriminator,
        adversarial_loss: AdversarialLoss,
        generator_optimizer: OptimizerConfig,
        discriminator_optimizer: OptimizerConfig,
        discriminator_steps: int = 1,
        penalty: LazyPenalty | None = None,
        clip: float | None = None,
        augmentation: nn.Module | None = None,
        reconstruction_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = GenerativeModel(generator)
        self.discriminator = discriminator
        self.adversarial_loss = adversarial_loss
        self.penalty, self.clip = penalty, clip
        self.reconstruction_weight = reconstruction_weight
        self.augmentation = augmentation or nn.Identity()
        self.variant = penalty is not None  # whether this step has a penalty
        self.phases = (
            Phase("discriminator", discriminator, discriminator_optimizer, discriminator_steps),
            Phase("generator", generator, generator_optimizer, own_images=adversarial_loss.compares),
        )
        undecided = adversarial_loss.discriminator(*torch.zeros(2, 1, device="cpu")).item()
        self.symptoms = symptoms_of_players("discriminator/adversarial", undecided)

    def begin_step(self, step: int) -> None:
        self.variant = self.penalty is not None and step % self.penalty.every == 0

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
        if self.penalty is not None and self.variant:
            packs = [images.unflatten(0, (-1, self.discriminator.pack)) for images in (batch.images, drawn)]
            penalty = self.penalty.penalty(lambda images: self.judged(images, batch.given), *packs).mean()
            losses["total"] = total + self.penalty.weight * self.penalty.every * penalty
            losses["penalty"] = penalty
        if isinstance(self.augmentation, AdaptiveAugment):
            losses |= {"signs": real.detach().sign(), "augmentation": self.augmentation.probability.clone()}
        return losses

    @torch.no_grad()
    def after_update(self, phase: str, statistics: Losses) -> None:
        if phase == "discriminator":
            update_spectral_norms(self.discriminator)
            if self.clip is not None:
                clip_weights_(self.discriminator, self.clip)
            if isinstance(self.augmentation, AdaptiveAugment):
                signs = statistics["signs"]
                self.augmentation.update(signs, len(signs) * self.discriminator.pack)

    def fakes(self, batch: Batch) -> Tensor:
        """One image in [-1, 1] for each of the batch's, (B, C, H, W)."""
        generator = self.model.sampler
        latents = torch.randn(len(batch.images), generator.latent_size, device=batch.images.device)
        return generator(latents, batch.given)

    def scores(self, images: Tensor, given: Tensor | None) -> Tensor:
        """Logits of "real" for the losses of Goodfellow et al., one for each pack of images, (B / pack,), or one for
        each patch of an image, (B, P).
        """
        return self.discriminator(images, given).float()

    def judged(self, packs: Tensor, given: Tensor | None) -> Tensor:
        """One score for each pack of images that are yet to be augmented, the mean over patches; (B / pack, pack, ...)
        => (B / pack,).
        """
        scores = self.scores(self.augmentation(packs.flatten(0, 1)), given)
        return scores if scores.dim() == 1 else scores.mean(1)


def build_penalty(config: PenaltyConfig) -> LazyPenalty | None:
    if not isinstance(config, GradientPenaltySection):
        return None
    return LazyPenalty(PENALTIES[config.name], config.weight, config.every)


def build_augmentation(config: NoAugmentation | DiffAugmentConfig | ADAConfig) -> nn.Module | None:
    match config:
        case DiffAugmentConfig():
            return DiffAugment(tuple(config.policy))
        case ADAConfig():
            return AdaptiveAugment(config.target, config.speed_images)
    return None
