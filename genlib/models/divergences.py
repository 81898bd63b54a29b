"""What holds a posterior to its prior, as the configuration weighs it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genlib.losses.divergences import (
    free_bits,
    kl_to_standard_normal_by_dimension,
    maximum_mean_discrepancy,
    total_correlation_decomposition,
)
from genlib.models.base import Losses
from genlib.models.collapse import largest_kl
from genlib.models.posterior import Posterior


class Divergence(nn.Module, ABC):
    """{"divergence": (), to be added to the reconstruction, and parts to log, the largest KL of a dimension among them}
    of a posterior and draws from it.
    """

    @abstractmethod
    def forward(self, posterior: Posterior, latents: Tensor) -> Losses: ...

    def begin_step(self, step: int) -> None:
        """What a schedule changes."""


class KL(Divergence):
    """beta * KL (Higgins et al. 2017), or beta * |KL - capacity| (Burgess et al. 2018, eq. 8); beta and capacity rise
    from 0 over the first steps; each dimension's first nats may be free (Kingma et al. 2016, appendix C.8).
    """

    def __init__(
        self,
        beta: float = 1.0,
        warm_up_steps: int = 0,
        capacity: float | None = None,
        capacity_steps: int = 0,
        free: float = 0.0,
    ) -> None:
        super().__init__()
        self.beta, self.warm_up_steps, self.free = beta, warm_up_steps, free
        self.capacity, self.capacity_steps = capacity, capacity_steps
        # Tensors, so that compiled code reads them afresh.
        self.register_buffer("present_beta", torch.tensor(beta), persistent=False)
        self.register_buffer("present_capacity", torch.tensor(capacity or 0.0), persistent=False)
        self.present_beta: Tensor
        self.present_capacity: Tensor

    def begin_step(self, step: int) -> None:
        if self.warm_up_steps:
            self.present_beta.fill_(self.beta * min(1.0, step / self.warm_up_steps))
        if self.capacity is not None and self.capacity_steps:
            self.present_capacity.fill_(self.capacity * min(1.0, step / self.capacity_steps))

    def forward(self, posterior: Posterior, latents: Tensor) -> Losses:
        by_dimension = kl_to_standard_normal_by_dimension(posterior.mean, posterior.log_variance)
        kl = by_dimension.sum(1).mean()
        charged = free_bits(by_dimension, self.free).mean() if self.free else kl
        if self.capacity is not None:
            charged = (charged - self.present_capacity).abs()
        return {"divergence": self.present_beta * charged, "kl": kl, "largest_kl": largest_kl(by_dimension)}


class BetaTC(Divergence):
    """alpha * mutual information + beta * total correlation + gamma * dimension-wise KL (Chen et al. 2018, eq. 4).

    `rows` is the size of the train split, which the estimate of the aggregate posterior needs.
    """

    def __init__(self, alpha: float, beta: float, gamma: float, rows: int) -> None:
        super().__init__()
        self.alpha, self.beta, self.gamma, self.rows = alpha, beta, gamma, rows

    def forward(self, posterior: Posterior, latents: Tensor) -> Losses:
        parts = total_correlation_decomposition(latents, posterior.mean, posterior.log_variance, self.rows)
        information, correlation, dimensions = (part.mean() for part in parts)
        by_dimension = kl_to_standard_normal_by_dimension(posterior.mean, posterior.log_variance)
        return {
            "divergence": self.alpha * information + self.beta * correlation + self.gamma * dimensions,
            "kl": by_dimension.sum(1).mean(),
            "largest_kl": largest_kl(by_dimension),
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise_kl": dimensions,
        }


class MMD(Divergence):
    """weight * MMD(aggregate posterior, prior) + kl_weight * KL (Tolstikhin et al. 2018; Zhao et al. 2019, eq. 6)."""

    def __init__(self, weight: float, kl_weight: float) -> None:
        super().__init__()
        self.weight, self.kl_weight = weight, kl_weight

    def forward(self, posterior: Posterior, latents: Tensor) -> Losses:
        discrepancy = maximum_mean_discrepancy(latents, torch.randn_like(latents))
        by_dimension = kl_to_standard_normal_by_dimension(posterior.mean, posterior.log_variance)
        kl = by_dimension.sum(1).mean()
        divergence = self.weight * discrepancy + self.kl_weight * kl
        return {"divergence": divergence, "kl": kl, "largest_kl": largest_kl(by_dimension), "mmd": discrepancy}
