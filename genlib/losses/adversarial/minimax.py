"""The game of Goodfellow et al. 2014, eq. 1, both players in one value."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z)))."""
    return F.softplus(-real) + F.softplus(fake)


def generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """log(1 - D(G(z))), minimized as in Algorithm 1."""
    return -F.softplus(fake)


LOSS = AdversarialLoss(discriminator, generator)
