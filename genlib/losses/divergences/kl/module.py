"""The KL divergence from the prior."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.layers.divergence import Divergence
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension, largest_kl


def free_bits(kl_by_dimension: Tensor, least: float) -> Tensor:
    """The KL of which the first `least` nats of each dimension cost nothing: the batch's mean of a dimension counts, or
    `least` if that is more (Kingma et al. 2016, appendix C.8); (B, d) => ().
    """
    return kl_by_dimension.mean(0).clamp_min(least).sum()


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

    def forward(self, mean: Tensor, log_variance: Tensor, latents: Tensor) -> dict[str, Tensor]:
        by_dimension = kl_to_standard_normal_by_dimension(mean, log_variance)
        kl = by_dimension.sum(1).mean()
        charged = free_bits(by_dimension, self.free).mean() if self.free else kl
        if self.capacity is not None:
            charged = (charged - self.present_capacity).abs()
        return {"divergence": self.present_beta * charged, "kl": kl, "largest_kl": largest_kl(by_dimension)}
