"""A model with two stochastic layers (Burda et al. 2015, section 2 and figure 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.likelihood import Likelihood
from genlib.losses.gaussians import normal_log_density
from genlib.methods.hierarchical_vae.sampler import TopDown
from genlib.models.base import Batch, LatentVariableModel, Weights
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler


class HierarchicalModel(LatentVariableModel):
    """q(lower | x) q(upper | lower) against p(upper) p(lower | upper) p(x | lower), p(upper) = N(0, I)."""

    has_standard_prior = False

    def __init__(
        self, encoder: nn.Module, upper_encoder: nn.Module, sampler: Sampler, likelihood: Likelihood, lower_size: int
    ) -> None:
        super().__init__(sampler)
        self.encoder, self.upper_encoder, self.likelihood = encoder, upper_encoder, likelihood
        self.pixels = likelihood.pixels
        self.noise_size = sampler.latent_size
        self.lower_size = lower_size

    @property
    def top_down(self) -> TopDown:
        network = self.sampler.network
        assert isinstance(network, TopDown)
        return network

    def posterior(self, batch: Batch) -> Posterior:
        return Posterior(*self.encoder(batch.images, batch.given).float().chunk(2, dim=1))

    def upper_posterior(self, lower: Tensor) -> Posterior:
        """q(upper | lower)."""
        return Posterior(*self.upper_encoder(lower).float().chunk(2, dim=1))

    def weigh(self, batch: Batch, posterior: Posterior, noise: Tensor) -> Weights:
        lower = posterior.at(noise[:, : self.lower_size])
        upper_posterior = self.upper_posterior(lower)
        upper = upper_posterior.at(noise[:, self.lower_size :])
        prior = self.top_down.lower_prior(upper)
        zero = torch.zeros_like(upper)
        log_prior = normal_log_density(upper, zero, zero) + normal_log_density(lower, *prior)
        log_posterior = normal_log_density(lower, *posterior) + normal_log_density(upper, *upper_posterior)
        raw = self.top_down.decoder(lower, batch.given).float()
        return Weights(self.likelihood(batch.images, raw), log_prior - log_posterior, lower)

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior(batch).sample()

    def reconstruct(self, batch: Batch) -> Tensor:
        raw = self.top_down.decoder(self.posterior(batch).mean, batch.given)
        return self.sampler.to_images(raw)
