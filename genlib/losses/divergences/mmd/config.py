"""Settings of the divergence mmd; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import LARGEST_WEIGHT
from genlib.losses.divergences import DivergenceConfig

if TYPE_CHECKING:
    from genlib.layers.divergence import Divergence


class MMDConfig(DivergenceConfig):
    """Maximum mean discrepancy between the aggregate posterior and the prior: WAE-MMD (Tolstikhin et al. 2018), and
    with a weight for the KL InfoVAE (Zhao et al. 2019).
    """

    is_per_image: ClassVar[bool] = False

    name: Literal["mmd"] = "mmd"
    weight: float = Field(
        10.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight beside -log p(x | z). With likelihood: gaussian the paper's lambda, beside the squared "
        "error of pixels in [0, 1], is weight * sigma^2 / 2: the same for sigma 1.41421356. The authors' code takes "
        "0.05 of the error, so that its lambda is 0.05 of this one",
    )
    kl_weight: float = Field(
        0.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL, which InfoVAE has beside the discrepancy"
    )

    @property
    def bounds_each_posterior(self) -> bool:
        return self.kl_weight > 0

    def build(self, rows: int) -> Divergence:
        from genlib.losses.divergences.mmd.module import MMD

        return MMD(self.weight, self.kl_weight)
