"""VAE-GAN (Larsen et al. 2016): a VAE whose reconstruction is measured in a discriminator's features."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.discriminator import Discriminator
from genlib.layers.shapes import ConditionSpec, ImageShape
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl
from genlib.models.base import Batch, EncoderModel, Losses, Method, Phase
from genlib.models.collapse import diversity, symptom_of_posterior, symptoms_of_players
from genlib.models.optimizer import OptimizerConfig
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler
from genlib.networks import Network


class VAEGANModel(EncoderModel):
    """An encoder to q(z | x) and a decoder that is a generator."""

    def __init__(self, encoder: nn.Module, sampler: Sampler) -> None:
        super().__init__(sampler)
        self.encoder = encoder

    def posterior(self, batch: Batch) -> Posterior:
        """q(z | x)."""
        return Posterior(*self.encoder(batch.images, batch.given).float().chunk(2, dim=1))

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior(batch).sample()

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.sampler.decode(self.posterior(batch).mean, batch.given)


class VAEGAN(Method):
    """Algorithm 1 of Larsen et al. 2016, each network in a phase of its own: the encoder minimizes beta * KL +
    reconstruction, the decoder gamma * reconstruction + its adversarial loss (non-saturating), the discriminator tells
    data from reconstructions and from samples.

    The reconstruction is -log N(features(x); features(x'), I) but for its constant (eq. 8).
    """

    model: VAEGANModel

    def __init__(
        self,
        model: VAEGANModel,
        discriminator: Discriminator,
        encoder_optimizer: OptimizerConfig,
        decoder_optimizer: OptimizerConfig,
        discriminator_optimizer: OptimizerConfig,
        beta: float,
        gamma: float,
    ) -> None:
        super().__init__()
        self.model = model
        self.discriminator = discriminator
        self.beta, self.gamma = beta, gamma
        self.phases = (
            Phase("encoder", model.encoder, encoder_optimizer),
            Phase("decoder", model.sampler, decoder_optimizer),
            Phase("discriminator", discriminator, discriminator_optimizer),
        )
        undecided = 3 * math.log(2)  # of one term for reals and two for fakes
        self.symptoms = (symptom_of_posterior("encoder"), *symptoms_of_players("discriminator/total", undecided))

    def loss(self, phase: str, batch: Batch) -> Losses:
        match phase:
            case "encoder":
                return self.encoder_loss(batch)
            case "decoder":
                return self.decoder_loss(batch)
        return self.discriminator_loss(batch)

    def encoder_loss(self, batch: Batch) -> Losses:
        posterior = self.model.posterior(batch)
        by_dimension = kl_to_standard_normal_by_dimension(posterior.mean, posterior.log_variance)
        kl = by_dimension.sum(1).mean()
        reconstruction = self.reconstruction(batch, self.model.sampler.decode(posterior.sample(), batch.given))
        total = self.beta * kl + reconstruction
        return {"total": total, "kl": kl, "reconstruction": reconstruction, "largest_kl": largest_kl(by_dimension)}

    def decoder_loss(self, batch: Batch) -> Losses:
        reconstructed, sampled = self.fakes(batch)
        reconstruction = self.reconstruction(batch, reconstructed)
        adversarial = sum(F.softplus(-self.scores(fakes, batch)).mean() for fakes in (reconstructed, sampled))
        return {"total": self.gamma * reconstruction + adversarial, "adversarial": torch.as_tensor(adversarial)}

    def discriminator_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():  # The decoder must not move to please the discriminator.
            reconstructed, sampled = self.fakes(batch)
        real = self.scores(batch.images, batch)
        fake = [self.scores(fakes, batch) for fakes in (reconstructed, sampled)]
        total = F.softplus(-real).mean() + sum(F.softplus(scores).mean() for scores in fake)
        return {
            "total": torch.as_tensor(total),
            "real_score": real.mean(),
            "fake_score": torch.cat(fake).mean(),
            "diversity": diversity(sampled, batch.images),
        }

    def fakes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Each image encoded and decoded, and a sample of each label."""
        with torch.no_grad():
            latents = self.model.encode(batch)
        sampler = self.model.sampler
        return sampler.decode(latents, batch.given), sampler.decode(torch.randn_like(latents), batch.given)

    def reconstruction(self, batch: Batch, images: Tensor) -> Tensor:
        """In nats per image, ()."""
        with torch.no_grad():
            wanted = self.discriminator.features(batch.images, batch.given).float()
        found = self.discriminator.features(images, batch.given).float()
        return 0.5 * (wanted - found).square().sum(1).mean()

    def scores(self, images: Tensor, batch: Batch) -> Tensor:
        """Logits of "real", (B,)."""
        return self.discriminator(images, batch.given).float()


def discriminator_of_features(
    network: Network, shape: ImageShape, given: ConditionSpec, conditioning: Literal["none", "concat"]
) -> Discriminator:
    """ValueError for a network whose scores are of patches."""
    found = network.discriminator(shape, given, conditioning)
    if not isinstance(found, Discriminator):
        raise ValueError(f"vae_gan compares features of whole images, and {network.name} has none; use dcgan.")
    return found
