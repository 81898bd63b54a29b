"""The penalty R1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.penalties import GradientPenalty

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.losses.gradients import Critic


class R1(GradientPenalty):
    """Half the squared gradient norm at reals (Mescheder et al. 2018, eq. 9)."""

    name: Literal["r1"] = "r1"

    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
        """|grad D(x)|^2 / 2 at reals."""
        from genlib.losses.gradients import squared_gradient_norms

        return 0.5 * squared_gradient_norms(critic, reals)
