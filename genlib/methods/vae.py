"""Variational autoencoder (Kingma & Welling 2014)."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from genlib.config import OptimizerConfig
from genlib.losses.divergences import kl_to_standard_normal
from genlib.losses.likelihoods import bernoulli_negative_log_likelihood, gaussian_negative_log_likelihood
from genlib.methods.base import Batch, Losses, Method, Phase, Sampler


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag exp(log_variance))."""

    mean: Tensor  # (B, d)
    log_variance: Tensor  # (B, d)

    def sample(self) -> Tensor:
        """Reparameterized (Kingma & Welling 2014, section 2.4): z = mean + std * noise, (B, d)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


class LatentVariableModel(nn.Module):
    """An encoder to q(z | x) and a decoder to the mean of p(x | z)."""

    def __init__(self, encoder: nn.Module, decoder: Sampler) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def posterior(self, images: Tensor) -> Posterior:
        return Posterior(*self.encoder(images).float().chunk(2, dim=1))


class VAE(Method):
    """Maximizes the evidence lower bound, E_q[log p(x | z)] - KL(q(z | x) || p(z)), with one sample of z.

    `sigma` is the Gaussian decoder's standard deviation on pixels in [-1, 1]; None stands for a Bernoulli decoder on
    pixels in [0, 1].
    """

    def __init__(self, encoder: nn.Module, decoder: Sampler, sigma: float | None, optimizer: OptimizerConfig) -> None:
        super().__init__()
        self.model = LatentVariableModel(encoder, decoder)
        self.sigma = sigma
        self.phases = (Phase("vae", self.model, optimizer),)

    def loss(self, phase: str, batch: Batch) -> Losses:
        parts = self.held_out(self.model, batch)
        reconstruction, kl = parts["reconstruction"].mean(), parts["kl"].mean()
        return {"total": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def sampler_of(self, model: nn.Module) -> Sampler:
        return cast(LatentVariableModel, model).decoder

    def held_out(self, model: nn.Module, batch: Batch) -> Losses:
        """The evidence lower bound and its two parts, in nats per image, each (B,)."""
        model = cast(LatentVariableModel, model)
        posterior = model.posterior(batch.images)
        raw = model.decoder.network(posterior.sample()).float()
        if self.sigma is None:
            reconstruction = bernoulli_negative_log_likelihood((batch.images + 1) / 2, raw)
        else:
            reconstruction = gaussian_negative_log_likelihood(batch.images, torch.tanh(raw), self.sigma)
        kl = kl_to_standard_normal(posterior.mean, posterior.log_variance)
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
