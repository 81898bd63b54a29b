"""Mao et al. 2017, eq. 9, with the labels 0, 1 and 1."""

from __future__ import annotations

from torch import Tensor

from genlib.losses.adversarial import AdversarialLoss


def discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2."""
    return 0.5 * ((real - 1).square() + fake.square())


def generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """(D(G(z)) - 1)^2 / 2."""
    return 0.5 * (fake - 1).square()


LOSS = AdversarialLoss(discriminator, generator)
