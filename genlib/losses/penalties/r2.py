"""The penalty R2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.penalties import GradientPenalty

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.losses.gradients import Critic


class R2(GradientPenalty):
    """Half the squared gradient norm at fakes (Mescheder et al. 2018, eq. 10)."""

    name: Literal["r2"] = "r2"

    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
        """|grad D(x)|^2 / 2 at fakes."""
        from genlib.losses.gradients import squared_gradient_norms

        return 0.5 * squared_gradient_norms(critic, fakes)
