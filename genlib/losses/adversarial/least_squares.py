"""The least-squares loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class LeastSquares(AdversarialLoss):
    """Squared distances to the labels 0, 1 and 1 (Mao et al. 2017, eq. 9)."""

    name: Literal["least_squares"] = "least_squares"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2."""
        return 0.5 * ((real - 1).square() + fake.square())

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """(D(G(z)) - 1)^2 / 2."""
        return 0.5 * (fake - 1).square()
