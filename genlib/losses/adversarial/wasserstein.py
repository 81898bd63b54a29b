"""The dual form of the earth mover's distance (Arjovsky et al. 2017, eq. 2), for discriminators of limited slope."""

from __future__ import annotations

from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """D(G(z)) - D(x)."""
    return fake - real


def generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-D(G(z))."""
    return -fake


LOSS = AdversarialLoss(discriminator, generator)
