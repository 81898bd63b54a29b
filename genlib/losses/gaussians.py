"""Densities and divergences of Gaussians with diagonal covariances, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) (Kingma & Welling 2014, appendix B); (B, d) => (B,)."""
    return kl_to_standard_normal_by_dimension(mean, log_variance).sum(1)


def kl_to_standard_normal_by_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same before it is summed over the latent dimensions; (B, d) => (B, d)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, diag exp(log_variance)), summed over the last dimension; (..., d) => (...)."""
    squares = (x - mean).square() * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)


def largest_kl(by_dimension: Tensor) -> Tensor:
    """KL(q(z_i | x) || N(0, 1)) of the dimension that carries most, in nats, over a batch, (B, d) => ()."""
    return by_dimension.detach().mean(0).max()
