"""Variational autoencoder (Kingma & Welling 2014)."""

from __future__ import annotations

import torch

from genlib.layers.divergence import Divergence
from genlib.models.base import Batch, Losses, Method, Phase
from genlib.models.collapse import symptom_of_posterior
from genlib.models.optimizer import OptimizerConfig
from genlib.models.variational import VariationalModel


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
        divergence = self.divergence(*posterior, draws[0])
        return {
            "total": divergence.pop("divergence") - log_likelihood,
            "reconstruction": -log_likelihood,
            **divergence,
        }
