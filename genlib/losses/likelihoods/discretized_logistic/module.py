"""The discretized logistic likelihood."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.likelihood import Likelihood, summed

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


class DiscretizedLogistic(Likelihood):
    """A probability of each of the 256 values, of one learned scale (Kingma et al. 2016, appendix)."""

    pixels = "probability"

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -discretized_logistic_negative_log_likelihood(images, torch.tanh(raw), self.log_scale, counted)
