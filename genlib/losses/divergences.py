"""Divergences between a posterior and its prior, in nats per image."""

from __future__ import annotations

from torch import Tensor


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)) (Kingma & Welling 2014, appendix B); (B, d) => (B,)."""
    return kl_to_standard_normal_by_dimension(mean, log_variance).sum(1)


def kl_to_standard_normal_by_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same before it is summed over the latent dimensions; (B, d) => (B, d)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
