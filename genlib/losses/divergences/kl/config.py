"""Settings of the divergence kl; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genlib.choices.section import LARGEST_WEIGHT, MOST_STEPS
from genlib.losses.divergences import DivergenceConfig

if TYPE_CHECKING:
    from genlib.layers.divergence import Divergence


class KLConfig(DivergenceConfig):
    """KL(q(z | x) || p(z)), weighted (Higgins et al. 2017), warmed up (Sonderby et al. 2016) or aimed at a capacity
    (Burgess et al. 2018).
    """

    name: Literal["kl"] = "kl"
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    warm_up_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Steps over which beta rises from 0")
    capacity: float | None = Field(None, ge=0, le=1e6, description="Nats that the KL is held to; null: none")
    capacity_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Steps over which the capacity rises from 0")
    free_bits: float = Field(0.0, ge=0, le=1e6, description="Nats of each latent dimension that cost nothing")

    def build(self, rows: int) -> Divergence:
        from genlib.losses.divergences.kl.module import KL

        return KL(self.beta, self.warm_up_steps, self.capacity, self.capacity_steps, self.free_bits)
