"""The KL divergence in three weighted parts."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genlib.layers.divergence import Divergence
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl, normal_log_density


class Decomposition(NamedTuple):
    """Three parts of log q(z | x) - log p(z), which they add up to; (B,) each."""

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


class BetaTC(Divergence):
    """alpha * mutual information + beta * total correlation + gamma * dimension-wise KL (Chen et al. 2018, eq. 4).

    `rows` is the size of the train split, which the estimate of the aggregate posterior needs.
    """

    def __init__(self, alpha: float, beta: float, gamma: float, rows: int) -> None:
        super().__init__()
        self.alpha, self.beta, self.gamma, self.rows = alpha, beta, gamma, rows

    def forward(self, mean: Tensor, log_variance: Tensor, latents: Tensor) -> dict[str, Tensor]:
        parts = total_correlation_decomposition(latents, mean, log_variance, self.rows)
        information, correlation, dimensions = (part.mean() for part in parts)
        by_dimension = kl_to_standard_normal_by_dimension(mean, log_variance)
        return {
            "divergence": self.alpha * information + self.beta * correlation + self.gamma * dimensions,
            "kl": by_dimension.sum(1).mean(),
            "largest_kl": largest_kl(by_dimension),
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise_kl": dimensions,
        }
