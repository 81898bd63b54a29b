"""Each real against a fake (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x) - D(G(z)))."""
    return F.softplus(fake - real)


def generator(fake: Tensor, real: Tensor | None) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), the same with the parts exchanged."""
    assert real is not None
    return F.softplus(real - fake)


LOSS = AdversarialLoss(discriminator, generator, compares=True)
