"""The minimax loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class Minimax(AdversarialLoss):
    """The game of Goodfellow et al. (2014, eq. 1), both players in one value."""

    name: Literal["minimax"] = "minimax"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-log D(x) - log(1 - D(G(z)))."""
        from torch.nn.functional import softplus

        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """log(1 - D(G(z))), minimized as in Algorithm 1."""
        from torch.nn.functional import softplus

        return -softplus(fake)
