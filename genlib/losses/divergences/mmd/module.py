"""The maximum mean discrepancy."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.layers.divergence import Divergence
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl

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


class MMD(Divergence):
    """weight * MMD(aggregate posterior, prior) + kl_weight * KL (Tolstikhin et al. 2018; Zhao et al. 2019, eq. 6)."""

    def __init__(self, weight: float, kl_weight: float) -> None:
        super().__init__()
        self.weight, self.kl_weight = weight, kl_weight

    def forward(self, mean: Tensor, log_variance: Tensor, latents: Tensor) -> dict[str, Tensor]:
        discrepancy = maximum_mean_discrepancy(latents, torch.randn_like(latents))
        by_dimension = kl_to_standard_normal_by_dimension(mean, log_variance)
        kl = by_dimension.sum(1).mean()
        divergence = self.weight * discrepancy + self.kl_weight * kl
        return {"divergence": divergence, "kl": kl, "largest_kl": largest_kl(by_dimension), "mmd": discrepancy}
