"""Divergences between a posterior and its prior, in nats per image."""

from __future__ import annotations

import math
from typing import NamedTuple

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


def kl_between_normals(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(prior_mean, diag exp(prior_log_variance))); (B, d) => (B,)."""
    ratio = log_variance - prior_log_variance
    distance = (mean - prior_mean).square() * torch.exp(-prior_log_variance)
    return 0.5 * (ratio.exp() + distance - 1 - ratio).sum(1)


def free_bits(kl_by_dimension: Tensor, least: float) -> Tensor:
    """The KL of which the first `least` nats of each dimension cost nothing: the batch's mean of a dimension counts, or
    `least` if that is more (Kingma et al. 2016, appendix C.8); (B, d) => ().
    """
    return kl_by_dimension.mean(0).clamp_min(least).sum()


class Decomposition(NamedTuple):
    """Of log q(z | x) - log p(z), which the three add up to; (B,) each."""

    mutual_information: Tensor  # log q(z | x) - log q(z)
    total_correlation: Tensor  # log q(z) - sum_j log q(z_j)
    dimension_wise_kl: Tensor  # sum_j (log q(z_j) - log p(z_j))


def total_correlation_decomposition(latents: Tensor, mean: Tensor, log_variance: Tensor, rows: int) -> Decomposition:
    """The KL's three parts at draws from the posteriors (Chen et al. 2018, eq. 2), (B, d) => (B,) each.

    The aggregate posterior over the `rows` images of the data is estimated by minibatch-weighted sampling (appendix
    C.1): log q(z) = logsumexp_j log q(z | x_j) - log(B rows).
    """
    batch = len(latents)
    # Of draw i under posterior j, each dimension by itself: (B, B, d).
    by_dimension = normal_log_density(latents[:, None, :, None], mean[None, :, :, None], log_variance[None, :, :, None])
    log_batch = math.log(batch * rows)
    log_posterior = by_dimension.diagonal().sum(0)  # (d, B) => (B,)
    log_aggregate = by_dimension.sum(2).logsumexp(1) - log_batch
    log_marginals = (by_dimension.logsumexp(1) - log_batch).sum(1)
    zero = torch.zeros_like(latents)
    log_prior = normal_log_density(latents, zero, zero)
    return Decomposition(log_posterior - log_aggregate, log_aggregate - log_marginals, log_marginals - log_prior)


SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def maximum_mean_discrepancy(x: Tensor, y: Tensor, scales: tuple[float, ...] = SCALES) -> Tensor:
    """Unbiased squared MMD of draws (B, d) and (B, d) under a sum of inverse multiquadratics, C / (C + |a - b|^2) with
    C = 2 d scale, which is |a - b|^2 expected under N(0, I) (Tolstikhin et al. 2018, section 4); ().
    """
    count, dimensions = x.shape

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        distances = (a[:, None] - b[None]).square().sum(2)
        constants = [2 * dimensions * scale for scale in scales]
        return torch.stack([constant / (constant + distances) for constant in constants]).sum(0)

    def of_others(a: Tensor) -> Tensor:
        within = kernel(a, a)
        return (within.sum() - within.diagonal().sum()) / (count * (count - 1))

    return of_others(x) + of_others(y) - 2 * kernel(x, y).mean()
