"""The Gaussian likelihood with the best standard deviation."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.layers.likelihood import FittedLikelihood
from genlib.layers.outputs import OUTPUTS, Output
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood

LEAST_SIGMA = 1e-3  # an eighth of a step of uint8 on [-1, 1]


def mean_squared_error(images: Tensor, mean: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean squared error over all dimensions that count; (B, ...) => ()."""
    squares = (images - mean).square()
    return squares.mean() if counted is None else (squares * counted).sum() / counted.expand_as(images).sum()


def optimal_sigma(images: Tensor, mean: Tensor, counted: Tensor | None = None) -> Tensor:
    """The standard deviation under which a batch is likeliest: the root of the mean squared error, but for a least one
    (Rybkin et al. 2021, eq. 5); (B, ...) => ().
    """
    return mean_squared_error(images, mean, counted).clamp_min(LEAST_SIGMA**2).sqrt()


class OptimalGaussian(FittedLikelihood):
    """Sigma is the best one for each batch, in closed form (Rybkin et al. 2021, section 3.1).

    Outside of training it is the best one for all images that were seen between `begin_fit` and `end_fit`.
    """

    pixels = "density"

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.register_buffer("sigma", torch.ones(()))
        self.sigma: Tensor
        self.output = output
        self._seen: list[Tensor] | None = None  # while it is fitted: squared errors and how many, (2,) of each batch

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        mean = OUTPUTS[self.output](raw)
        if self._seen is not None:
            of_those = torch.ones_like(images) if counted is None else counted.expand_as(images)
            self._seen.append(torch.stack([((images - mean).square() * of_those).sum(), of_those.sum()]))
        sigma = optimal_sigma(images, mean, counted) if self.training else self.sigma
        return -gaussian_negative_log_likelihood(images, mean, sigma, counted)

    def begin_fit(self) -> None:
        self._seen = []

    @torch.no_grad()
    def end_fit(self) -> None:
        assert self._seen, "no images were seen"
        squares, dimensions = torch.stack(self._seen).sum(0)
        self.sigma.copy_((squares / dimensions).sqrt().clamp_min(LEAST_SIGMA))
        self._seen = None
