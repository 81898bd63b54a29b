"""Weight clipping, of the first Wasserstein GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import LARGEST_WEIGHT
from genlib.losses.penalties import Penalty

if TYPE_CHECKING:
    from torch import nn


class WeightClipping(Penalty):
    """Every weight of the discriminator is held within limits (Arjovsky et al. 2017, Algorithm 1)."""

    bounds_weights: ClassVar[bool] = True

    name: Literal["weight_clipping"] = "weight_clipping"
    limit: float = Field(0.01, gt=0, le=LARGEST_WEIGHT, description="Largest absolute value of a weight")

    def after_update(self, discriminator: nn.Module) -> None:
        import torch

        with torch.no_grad():
            torch._foreach_clamp_min_(list(discriminator.parameters()), -self.limit)
            torch._foreach_clamp_max_(list(discriminator.parameters()), self.limit)
