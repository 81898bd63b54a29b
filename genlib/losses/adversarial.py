"""Adversarial losses on scores, (B,) => (B,).

For the losses of Goodfellow et al. a score is the logit of D(x): D = sigmoid(score), and -log D = softplus(-score),
never log(0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class AdversarialLoss(NamedTuple):
    """What either player minimizes, given the scores of reals and of fakes."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (real, fake)
    generator: Callable[[Tensor, Tensor | None], Tensor]  # (fake, real); real is None unless it is compared with
    compares: bool = False  # whether the generator's loss needs the scores of reals


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real) + F.softplus(fake)


def minimax_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """log(1 - D(G(z))), minimized as in Algorithm 1 (Goodfellow et al. 2014)."""
    return -F.softplus(fake)


def non_saturating_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-log D(G(z)): the same fixed point, with gradients early on (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake)


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real - 1).square() + fake.square())


def least_squares_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """(D(G(z)) - 1)^2 / 2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * (fake - 1).square()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real) + F.relu(1 + fake)


def hinge_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-D(G(z)) (Miyato et al. 2018, eq. 17)."""
    return -fake


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(D(x) - D(G(z))), a fake to each real (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2)."""
    return F.softplus(fake - real)


def relativistic_generator(fake: Tensor, real: Tensor | None) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), the same with the parts exchanged."""
    assert real is not None
    return F.softplus(real - fake)


LOSSES = {
    "minimax": AdversarialLoss(logistic_discriminator, minimax_generator),
    "non_saturating": AdversarialLoss(logistic_discriminator, non_saturating_generator),
    "least_squares": AdversarialLoss(least_squares_discriminator, least_squares_generator),
    "hinge": AdversarialLoss(hinge_discriminator, hinge_generator),
    "relativistic": AdversarialLoss(relativistic_discriminator, relativistic_generator, compares=True),
}
