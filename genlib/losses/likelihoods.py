"""Negative log-likelihoods of images under a decoder, in nats per image.

Where only some pixels are to count, `counted` is 1 at these and 0 elsewhere, (B, 1, H, W).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def summed(values: Tensor, counted: Tensor | None) -> Tensor:
    """Over an image's dimensions, or those that count; (B, ...) => (B,)."""
    return (values if counted is None else values * counted).flatten(1).sum(1)


def dimensions_of(images: Tensor, counted: Tensor | None) -> int | Tensor:
    """How many an image has, or how many of them count, (B,)."""
    return images[0].numel() if counted is None else counted.expand_as(images).flatten(1).sum(1)


def gaussian_negative_log_likelihood(
    images: Tensor, mean: Tensor, sigma: float | Tensor, counted: Tensor | None = None
) -> Tensor:
    """-log N(x; mean, sigma^2 I), summed over the dimensions of an image; (B, ...) => (B,)."""
    squared_error = summed((images - mean).square(), counted)
    dimensions = dimensions_of(images, counted)
    log_sigma = sigma.log() if isinstance(sigma, Tensor) else math.log(sigma)
    return squared_error / (2 * sigma**2) + dimensions * (log_sigma + 0.5 * math.log(2 * math.pi))


LEAST_SIGMA = 1e-3  # an eighth of a step of uint8 on [-1, 1]


def mean_squared_error(images: Tensor, mean: Tensor, counted: Tensor | None = None) -> Tensor:
    """Over all dimensions that count; (B, ...) => ()."""
    squares = (images - mean).square()
    return squares.mean() if counted is None else (squares * counted).sum() / counted.expand_as(images).sum()


def optimal_sigma(images: Tensor, mean: Tensor, counted: Tensor | None = None) -> Tensor:
    """The standard deviation under which a batch is likeliest: the root of the mean squared error, but for a least one
    (Rybkin et al. 2021, eq. 5); (B, ...) => ().
    """
    return mean_squared_error(images, mean, counted).clamp_min(LEAST_SIGMA**2).sqrt()


def bernoulli_negative_log_likelihood(images: Tensor, logits: Tensor, counted: Tensor | None = None) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) for pixels in [0, 1], summed over an image; (B, ...) => (B,).

    For pixels strictly between 0 and 1 it is a cross-entropy, without the normalizer of a likelihood
    (Loaiza-Ganem & Cunningham 2019).
    """
    return summed(F.binary_cross_entropy_with_logits(logits, images, reduction="none"), counted)


SMALL_LOGIT = 0.05  # below which closed forms lose digits and series have them all


def continuous_bernoulli_log_normalizer(logits: Tensor) -> Tensor:
    """log C of the density C p^x (1 - p)^(1 - x) on [0, 1], p = sigmoid(logit) (Loaiza-Ganem & Cunningham 2019, eq. 6):
    log(l / tanh(l / 2)) in terms of the logit l; any shape.
    """
    small = logits.abs() < SMALL_LOGIT
    large = torch.where(small, torch.ones_like(logits), logits).abs()
    # tanh(l / 2) = (1 - exp(-l)) / (1 + exp(-l)), and neither part overflows.
    exact = large.log() + torch.log1p(torch.exp(-large)) - torch.log(-torch.expm1(-large))
    squares = torch.where(small, logits, torch.zeros_like(logits)).square()
    series = math.log(2) + squares / 12 - 7 * squares.square() / 1440
    return torch.where(small, series, exact)


def continuous_bernoulli_negative_log_likelihood(
    images: Tensor, logits: Tensor, counted: Tensor | None = None
) -> Tensor:
    """-log of that density of pixels in [0, 1], summed over an image; (B, ...) => (B,)."""
    normalizer = summed(continuous_bernoulli_log_normalizer(logits), counted)
    return bernoulli_negative_log_likelihood(images, logits, counted) - normalizer


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """The mean of the same density (Loaiza-Ganem & Cunningham 2019, eq. 8), 1 / (1 - exp(-l)) - 1 / l; any shape."""
    small = logits.abs() < SMALL_LOGIT
    large = torch.where(small, torch.ones_like(logits), logits)
    exact = 0.5 + 0.5 / torch.tanh(0.5 * large) - 1 / large
    little = torch.where(small, logits, torch.zeros_like(logits))
    series = 0.5 + little / 12 - little.pow(3) / 720
    return torch.where(small, series, exact)


HALF_STEP = 1 / 255  # half the distance of two pixel values on [-1, 1]


def discretized_logistic_negative_log_likelihood(
    images: Tensor, mean: Tensor, log_scale: Tensor, counted: Tensor | None = None
) -> Tensor:
    """-log of the probability of pixels that are one of 256 values in [-1, 1]: what a logistic distribution has within
    half a step, and beyond the outermost values (Kingma et al. 2016, appendix C.5; Salimans et al. 2017, eq. 2);
    (B, ...) => (B,).
    """
    inverse_scale = torch.exp(-log_scale)
    above = (images - mean + HALF_STEP) * inverse_scale
    below = (images - mean - HALF_STEP) * inverse_scale
    width = 2 * HALF_STEP * inverse_scale
    # sigmoid(above) - sigmoid(below) = sigmoid(above) sigmoid(-below) (1 - exp(-width)), all in logarithms.
    inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-width))
    darkest, brightest = images < -1 + HALF_STEP, images > 1 - HALF_STEP
    log_probability = torch.where(darkest, F.logsigmoid(above), torch.where(brightest, F.logsigmoid(-below), inside))
    return -summed(log_probability, counted)
