"""The same game, with gradients for the generator early on (Goodfellow et al. 2014, section 3)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.adversarial.minimax import discriminator


def generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log D(G(z))."""
    return F.softplus(-fake)


LOSS = AdversarialLoss(discriminator, generator)
