"""What every generative model offers to the training loop, the sampler's export and the evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from genlib.config import OptimizerConfig

Losses = dict[str, Tensor]


class Batch(NamedTuple):
    """Training data on the device."""

    images: Tensor  # float in [-1, 1], (B, C, H, W)
    labels: Tensor | None  # int64, (B,)


@dataclass(frozen=True)
class Phase:
    """One optimizer's turn in a training step."""

    name: str
    trains: nn.Module
    optimizer: OptimizerConfig
    repeats: int = 1  # Algorithm 1's k for a discriminator; each repeat takes fresh images


class Sampler(nn.Module):
    """A network from latents ~ N(0, I) to raw pixels, and the function that takes these to [-1, 1]."""

    def __init__(self, network: nn.Module, latent_size: int, output: Literal["tanh", "sigmoid"] = "tanh") -> None:
        super().__init__()
        self.network = network
        self.latent_size = latent_size
        self.output = output

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """float (B, latent_size) => float (B, C, H, W) in [-1, 1]; labels are for conditional networks."""
        raw = self.network(latents)
        return torch.tanh(raw) if self.output == "tanh" else 2 * torch.sigmoid(raw) - 1


class Method(nn.Module, ABC):
    """A generative model together with the losses that train it."""

    model: nn.Module  # what is kept after training, and what EMA averages
    phases: tuple[Phase, ...]

    @abstractmethod
    def loss(self, phase: str, batch: Batch) -> Losses:
        """{"total": (), to minimize in this phase, and the parts to log}. All draws come from the global generator."""

    @abstractmethod
    def sampler_of(self, model: nn.Module) -> Sampler:
        """The part of `model` (this method's, or its moving average) that turns latents into images."""


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag exp(log_variance))."""

    mean: Tensor  # (B, d)
    log_variance: Tensor  # (B, d)

    def sample(self) -> Tensor:
        """Reparameterized (Kingma & Welling 2014, section 2.4): z = mean + std * noise, (B, d)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


class LatentVariableMethod(Method, ABC):
    """A method with p(x | z), the prior p(z) = N(0, I) and an approximate posterior: what a likelihood needs."""

    @property
    @abstractmethod
    def is_density(self) -> bool:
        """Whether p(x | z) is a density over pixels in [-1, 1], and not a probability or a cross-entropy."""

    @abstractmethod
    def posterior(self, model: nn.Module, images: Tensor) -> Posterior:
        """q(z | x) under `model` (this method's, or its moving average) of images in [-1, 1], (B, C, H, W)."""

    @abstractmethod
    def log_likelihood(self, model: nn.Module, images: Tensor, latents: Tensor) -> Tensor:
        """log p(x | z) in nats of (B, C, H, W) in [-1, 1] and (B, d), (B,)."""
