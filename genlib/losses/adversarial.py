"""Adversarial losses on scores, the logits of D(x): D = sigmoid(score), and -log D = softplus(-score), never log(0)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def discriminator_real(scores: Tensor) -> Tensor:
    """-log D(x) (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-scores)


def discriminator_fake(scores: Tensor) -> Tensor:
    """-log(1 - D(G(z))) (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(scores)


def generator_minimax(scores: Tensor) -> Tensor:
    """log(1 - D(G(z))), minimized as in Algorithm 1 (Goodfellow et al. 2014)."""
    return -F.softplus(scores)


def generator_non_saturating(scores: Tensor) -> Tensor:
    """-log D(G(z)): the same fixed point, with gradients early on (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-scores)
