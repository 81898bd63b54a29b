"""The Gaussian likelihood."""

from __future__ import annotations

import math

from torch import Tensor

from genlib.layers.likelihood import Likelihood, dimensions_of, summed
from genlib.layers.outputs import OUTPUTS, Output


def gaussian_negative_log_likelihood(
    images: Tensor, mean: Tensor, sigma: float | Tensor, counted: Tensor | None = None
) -> Tensor:
    """-log N(x; mean, sigma^2 I), summed over the dimensions of an image; (B, ...) => (B,)."""
    squared_error = summed((images - mean).square(), counted)
    dimensions = dimensions_of(images, counted)
    log_sigma = sigma.log() if isinstance(sigma, Tensor) else math.log(sigma)
    return squared_error / (2 * sigma**2) + dimensions * (log_sigma + 0.5 * math.log(2 * math.pi))


class Gaussian(Likelihood):
    """N(x; mean, sigma^2 I), sigma a setting."""

    pixels = "density"

    def __init__(self, sigma: float, output: Output) -> None:
        super().__init__()
        self.sigma = sigma
        self.output = output

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -gaussian_negative_log_likelihood(images, OUTPUTS[self.output](raw), self.sigma, counted)
