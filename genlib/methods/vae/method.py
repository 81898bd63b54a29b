"""Variational autoencoder (Kingma & Welling 2014) and the models with one layer of Gaussian latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.base import known
from genlib.models.base import Batch, LatentVariableModel, Losses, Method, Phase, Posterior, Sampler, Weights
from genlib.models.collapse import symptom_of_posterior
from genlib.models.divergences import Divergence
from genlib.models.likelihoods import Likelihood
from genlib.models.optimizer import OptimizerConfig


class PriorDecoder(nn.Module):
    """p(z | c) and p(x | z, c) as one network from z's noise u ~ N(0, I): z = mean(c) + std(c) u (Sohn et al. 2015).

    So a sampler draws N(0, I) whatever the prior is.
    """

    def __init__(self, prior: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.prior, self.decoder = prior, decoder

    def forward(self, noise: Tensor, given: Tensor | None = None) -> Tensor:
        return self.decoder(self.of(known(given)).at(noise), given)

    def of(self, given: Tensor) -> Posterior:
        """p(z | c)."""
        return Posterior(*self.prior(given).float().chunk(2, dim=1))


class VariationalModel(LatentVariableModel):
    """An encoder to q(z | x), a decoder to p(x | z), and p(z) = N(0, I).

    With a prior of what is given, p(z | c), latents are its noise u: q(u | x, c) is q(z | x, c) as the prior's
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
        prior = self.sampler.network.of(known(batch.given))
        mean = (found.mean - prior.mean) * torch.exp(-0.5 * prior.log_variance)
        return Posterior(mean, found.log_variance - prior.log_variance)

    def log_likelihood(self, batch: Batch, latents: Tensor) -> Tensor:
        """log p(x | z) in nats of (B, ...) and (B, d), (B,); of the pixels that are not given."""
        condition, raw = self.sampler.condition, self.sampler.network(latents, batch.given).float()
        counted = condition.counted(known(batch.context)) if condition else None
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


class VAE(Method):
    """Minimizes -E_q[log p(x | z)] plus a divergence: the negative evidence lower bound where this is the KL.

    The expectation is over `monte_carlo_samples` draws of the latents.
    """

    model: VariationalModel

    def __init__(
        self,
        model: VariationalModel,
        divergence: Divergence,
        optimizer: OptimizerConfig,
        monte_carlo_samples: int = 1,
    ) -> None:
        super().__init__()
        self.model = model
        self.divergence = divergence
        self.monte_carlo_samples = monte_carlo_samples
        self.phases = (Phase("vae", self.model, optimizer),)
        self.symptoms = (symptom_of_posterior("vae"),)

    def begin_step(self, step: int) -> None:
        self.divergence.begin_step(step)

    def loss(self, phase: str, batch: Batch) -> Losses:
        posterior = self.model.posterior(batch)
        draws = [posterior.sample() for _ in range(self.monte_carlo_samples)]
        log_likelihood = torch.stack([self.model.log_likelihood(batch, latents) for latents in draws]).mean()
        divergence = self.divergence(posterior, draws[0])
        return {
            "total": divergence.pop("divergence") - log_likelihood,
            "reconstruction": -log_likelihood,
            **divergence,
        }
