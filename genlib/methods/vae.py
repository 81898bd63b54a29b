"""Variational autoencoder (Kingma & Welling 2014)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from genlib.config import OptimizerConfig
from genlib.losses.divergences import kl_to_standard_normal
from genlib.losses.likelihoods import bernoulli_negative_log_likelihood, gaussian_negative_log_likelihood
from genlib.methods.base import Batch, LatentVariableMethod, Losses, Phase, Posterior, Sampler


class LatentVariableModel(nn.Module):
    """An encoder to q(z | x) and a decoder to the mean of p(x | z)."""

    def __init__(self, encoder: nn.Module, decoder: Sampler) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder


class VAE(LatentVariableMethod):
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
        posterior = self.posterior(self.model, batch.images)
        reconstruction = -self.log_likelihood(self.model, batch.images, posterior.sample()).mean()
        kl = kl_to_standard_normal(posterior.mean, posterior.log_variance).mean()
        return {"total": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def sampler_of(self, model: nn.Module) -> Sampler:
        return cast(LatentVariableModel, model).decoder

    @property
    def is_density(self) -> bool:
        return self.sigma is not None

    def posterior(self, model: nn.Module, images: Tensor) -> Posterior:
        return Posterior(*cast(LatentVariableModel, model).encoder(images).float().chunk(2, dim=1))

    def log_likelihood(self, model: nn.Module, images: Tensor, latents: Tensor) -> Tensor:
        raw = self.sampler_of(model).network(latents).float()
        if self.sigma is None:
            return -bernoulli_negative_log_likelihood((images + 1) / 2, raw)
        return -gaussian_negative_log_likelihood(images, torch.tanh(raw), self.sigma)
