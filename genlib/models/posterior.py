"""Gaussians with a diagonal covariance: posteriors and learned priors of latents."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag exp(log_variance))."""

    mean: Tensor  # (B, d)
    log_variance: Tensor  # (B, d)

    def at(self, noise: Tensor) -> Tensor:
        """Reparameterized (Kingma & Welling 2014, section 2.4): z = mean + std * noise, (..., B, d)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def sample(self) -> Tensor:
        """A draw, (B, d)."""
        return self.at(torch.randn_like(self.mean))
