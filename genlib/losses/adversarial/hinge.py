"""The hinge loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class Hinge(AdversarialLoss):
    """Hinge loss (Miyato et al. 2018, eqs. 16 and 17)."""

    name: Literal["hinge"] = "hinge"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """max(0, 1 - D(x)) + max(0, 1 + D(G(z)))."""
        from torch.nn.functional import relu

        return relu(1 - real) + relu(1 + fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-D(G(z))."""
        return -fake
