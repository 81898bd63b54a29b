"""The gradient penalty of WGAN-GP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.penalties import GradientPenalty

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.losses.gradients import Critic

TINY = 1e-12


class WGANGP(GradientPenalty):
    """Gradient norms near 1 between reals and fakes (Gulrajani et al. 2017, eq. 3)."""

    name: Literal["gradient_penalty"] = "gradient_penalty"

    def of(self, critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
        """(|grad D(x)| - 1)^2 at random points between reals and fakes.

        All images of a pack are mixed by one number: the point lies on the line between a pack of reals and one of
        fakes.
        """
        import torch

        from genlib.losses.gradients import squared_gradient_norms

        mix = torch.rand(len(reals), *[1] * (reals.dim() - 1), device=reals.device)
        squares = squared_gradient_norms(critic, torch.lerp(reals.float(), fakes.float(), mix))
        return ((squares + TINY).sqrt() - 1).square()  # The root has no slope at 0.
