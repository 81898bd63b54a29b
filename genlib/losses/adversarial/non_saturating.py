"""The non-saturating loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class NonSaturating(AdversarialLoss):
    """The same game as minimax, with gradients for the generator early on (Goodfellow et al. 2014, section 3)."""

    name: Literal["non_saturating"] = "non_saturating"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-log D(x) - log(1 - D(G(z)))."""
        from torch.nn.functional import softplus

        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log D(G(z))."""
        from torch.nn.functional import softplus

        return softplus(-fake)
