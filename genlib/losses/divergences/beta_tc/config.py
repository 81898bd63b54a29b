"""Settings of the divergence beta_tc; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import LARGEST_WEIGHT
from genlib.losses.divergences import DivergenceConfig

if TYPE_CHECKING:
    from genlib.layers.divergence import Divergence


class BetaTCConfig(DivergenceConfig):
    """The KL in three parts (Chen et al. 2018): mutual information, total correlation, dimension-wise KL."""

    is_per_image: ClassVar[bool] = False

    name: Literal["beta_tc"] = "beta_tc"
    alpha: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the mutual information")
    beta: float = Field(6.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the total correlation")
    gamma: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the dimension-wise KL")

    def build(self, rows: int) -> Divergence:
        from genlib.losses.divergences.beta_tc.module import BetaTC

        return BetaTC(self.alpha, self.beta, self.gamma, rows)
