"""Generative adversarial network (Goodfellow et al. 2014), Algorithm 1."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from genlib.config import OptimizerConfig
from genlib.losses.adversarial import AdversarialLoss
from genlib.methods.base import Batch, Losses, Method, Phase, Sampler


class GAN(Method):
    """k turns of the discriminator, each on fresh images and fresh latents, then one of the generator."""

    def __init__(
        self,
        generator: Sampler,
        discriminator: nn.Module,
        adversarial_loss: AdversarialLoss,
        generator_optimizer: OptimizerConfig,
        discriminator_optimizer: OptimizerConfig,
        discriminator_steps: int = 1,
    ) -> None:
        super().__init__()
        self.model = generator
        self.discriminator = discriminator
        self.adversarial_loss = adversarial_loss
        self.phases = (
            Phase("discriminator", discriminator, discriminator_optimizer, discriminator_steps),
            Phase("generator", generator, generator_optimizer),
        )

    def loss(self, phase: str, batch: Batch) -> Losses:
        if phase == "generator":
            fake = self.scores(self.fakes(batch))
            real = self.scores(batch.images) if self.adversarial_loss.compares else None
            return {"total": self.adversarial_loss.generator(fake, real).mean()}
        with torch.no_grad():  # The generator must not move to please the discriminator.
            fakes = self.fakes(batch)
        real, fake = self.scores(batch.images), self.scores(fakes)
        total = self.adversarial_loss.discriminator(real, fake).mean()
        return {"total": total, "real_score": real.mean(), "fake_score": fake.mean()}

    def sampler_of(self, model: nn.Module) -> Sampler:
        return cast(Sampler, model)

    def fakes(self, batch: Batch) -> Tensor:
        """One image in [-1, 1] for each of the batch's, (B, C, H, W)."""
        generator = cast(Sampler, self.model)
        latents = torch.randn(len(batch.images), generator.latent_size, device=batch.images.device)
        return generator(latents)

    def scores(self, images: Tensor) -> Tensor:
        """Logits of "real", (B,)."""
        return self.discriminator(images).float().flatten()
