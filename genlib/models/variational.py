"""Models with one layer of Gaussian latents (Kingma & Welling 2014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.base import required
from genlib.layers.likelihood import Likelihood
from genlib.models.base import Batch, LatentVariableModel, Weights
from genlib.models.posterior import Posterior
from genlib.models.prior_decoder import PriorDecoder
from genlib.models.sampler import Sampler


class VariationalModel(LatentVariableModel):
    """An encoder to q(z | x), a decoder to p(x | z), and p(z) = N(0, I).

    With a prior p(z | c) of a condition, latents are its noise u: q(u | x, c) is q(z | x, c) as the prior's
    standard deviations from its mean, so that KL(q(u | x, c) || N(0, I)) = KL(q(z | x, c) || p(z | c)), and all weights
    are the same.
    """

    has_standard_prior = True

    def __init__(self, encoder: nn.Module, sampler: Sampler, likelihood: Likelihood, latent_size: int) -> None:
        super().__init__(sampler)
        self.encoder = encoder
        self.likelihood = likelihood
        self.pixels = likelihood.pixels
        self.noise_size = latent_size

    def posterior(self, batch: Batch) -> Posterior:
        found = Posterior(*self.encoder(batch.images, batch.given).float().chunk(2, dim=1))
        if not isinstance(self.sampler.network, PriorDecoder):
            return found
        prior = self.sampler.network.of(required(batch.given))
        mean = (found.mean - prior.mean) * torch.exp(-0.5 * prior.log_variance)
        return Posterior(mean, found.log_variance - prior.log_variance)

    def log_likelihood(self, batch: Batch, latents: Tensor) -> Tensor:
        """log p(x | z) in nats of (B, ...) and (B, d), (B,); over the pixels that the condition leaves open."""
        condition, raw = self.sampler.condition, self.sampler.network(latents, batch.given).float()
        counted = condition.counted(required(batch.context)) if condition else None
        return self.likelihood(batch.images, raw, counted)

    def weigh(self, batch: Batch, posterior: Posterior, noise: Tensor) -> Weights:
        latents = posterior.at(noise)
        # log N(z; 0, I) - log N(z; mean, std^2): the constants cancel.
        log_ratio = 0.5 * (noise.square() - latents.square() + posterior.log_variance).sum(1)
        return Weights(self.log_likelihood(batch, latents), log_ratio, latents)

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior(batch).sample()

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.sampler.decode(self.posterior(batch).mean, batch.given)
