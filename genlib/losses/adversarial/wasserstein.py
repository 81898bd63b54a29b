"""The Wasserstein loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class Wasserstein(AdversarialLoss):
    """Dual form of the earth mover's distance (Arjovsky et al. 2017, eq. 2), for discriminators of limited slope."""

    scores_have_a_sign: ClassVar[bool] = False
    needs_a_slope_limit: ClassVar[bool] = True

    name: Literal["wasserstein"] = "wasserstein"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """D(G(z)) - D(x)."""
        return fake - real

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-D(G(z))."""
        return -fake
