"""Miyato et al. 2018, eqs. 16 and 17."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z)))."""
    return F.relu(1 - real) + F.relu(1 + fake)


def generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-D(G(z))."""
    return -fake


LOSS = AdversarialLoss(discriminator, generator)
