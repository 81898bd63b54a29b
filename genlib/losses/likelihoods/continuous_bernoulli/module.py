"""The continuous Bernoulli likelihood."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from genlib.layers.likelihood import Likelihood, dimensions_of, summed
from genlib.layers.outputs import SMALL_LOGIT
from genlib.losses.likelihoods.bernoulli.module import bernoulli_negative_log_likelihood


def continuous_bernoulli_log_normalizer(logits: Tensor) -> Tensor:
    """log C of the density C p^x (1 - p)^(1 - x) on [0, 1], p = sigmoid(logit) (Loaiza-Ganem & Cunningham 2019, eq. 6):
    log(l / tanh(l / 2)) in terms of the logit l; any shape.
    """
    small = logits.abs() < SMALL_LOGIT
    large = torch.where(small, torch.ones_like(logits), logits).abs()
    # tanh(l / 2) = (1 - exp(-l)) / (1 + exp(-l)), and neither part overflows.
    exact = large.log() + torch.log1p(torch.exp(-large)) - torch.log(-torch.expm1(-large))
    squares = torch.where(small, logits, torch.zeros_like(logits)).square()
    series = log(2) + squares / 12 - 7 * squares.square() / 1440
    return torch.where(small, series, exact)


def continuous_bernoulli_negative_log_likelihood(
    images: Tensor, logits: Tensor, counted: Tensor | None = None
) -> Tensor:
    """-log of the density of pixels in [0, 1], summed over an image; (B, ...) => (B,)."""
    normalizer = summed(continuous_bernoulli_log_normalizer(logits), counted)
    return bernoulli_negative_log_likelihood(images, logits, counted) - normalizer


class ContinuousBernoulli(Likelihood):
    """A density on [0, 1] that keeps the cross-entropy's shape (Loaiza-Ganem & Cunningham 2019)."""

    pixels = "density"

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        in_unit_interval = continuous_bernoulli_negative_log_likelihood((images + 1) / 2, raw, counted)
        return -in_unit_interval - log(2) * dimensions_of(images, counted)  # [-1, 1] is twice as long
