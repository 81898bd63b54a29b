"""The penalties R1 and R2 together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.penalties import GradientPenalty

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.losses.gradients import Critic


class R1R2(GradientPenalty):
    """Half the squared gradient norm at reals, and that at fakes (Huang et al. 2024, section 3)."""

    name: Literal["r1_r2"] = "r1_r2"

    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
        """|grad D(x)|^2 / 2 at reals and at fakes."""
        from genlib.losses.gradients import squared_gradient_norms

        return 0.5 * squared_gradient_norms(critic, reals) + 0.5 * squared_gradient_norms(critic, fakes)
