"""Negative log-likelihoods of images under a decoder, in nats per image."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def gaussian_negative_log_likelihood(images: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """-log N(x; mean, sigma^2 I), summed over the dimensions of an image; (B, ...) => (B,)."""
    squared_error = (images - mean).flatten(1).square().sum(1)
    dimensions = images[0].numel()
    return squared_error / (2 * sigma**2) + dimensions * (math.log(sigma) + 0.5 * math.log(2 * math.pi))


def bernoulli_negative_log_likelihood(images: Tensor, logits: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) for pixels in [0, 1], summed over an image; (B, ...) => (B,).

    For pixels strictly between 0 and 1 it is a cross-entropy, without the normalizer of a likelihood
    (Loaiza-Ganem & Cunningham 2019).
    """
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)
