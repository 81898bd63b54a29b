"""The relativistic pairing loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.adversarial import AdversarialLoss

if TYPE_CHECKING:
    from torch import Tensor


class Relativistic(AdversarialLoss):
    """Each real against a fake (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2)."""

    compares: ClassVar[bool] = True
    scores_have_a_sign: ClassVar[bool] = False

    name: Literal["relativistic"] = "relativistic"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """-log sigmoid(D(x) - D(G(z)))."""
        from torch.nn.functional import softplus

        return softplus(fake - real)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-log sigmoid(D(G(z)) - D(x)), the same with the parts exchanged."""
        from torch.nn.functional import softplus

        assert real is not None
        return softplus(real - fake)
