"""What a decoder's raw numbers say of pixels: p(x | z), with what it learns of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from genlib.losses.likelihoods import (
    LEAST_SIGMA,
    bernoulli_negative_log_likelihood,
    continuous_bernoulli_negative_log_likelihood,
    dimensions_of,
    discretized_logistic_negative_log_likelihood,
    gaussian_negative_log_likelihood,
    optimal_sigma,
)
from genlib.models.sampler import OUTPUTS, Output


class Likelihood(nn.Module, ABC):
    """p(x | z) of images in [-1, 1]."""

    pixels: Literal["density", "probability", "cross-entropy"]
    output: Output  # from raw numbers to the mean

    @abstractmethod
    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        """log p(x | z) in nats, (B, ...) => (B,), of the pixels where `counted`, (B, 1, H, W), is 1, or all."""


class Gaussian(Likelihood):
    """N(x; mean, sigma^2 I), sigma given."""

    pixels = "density"

    def __init__(self, sigma: float, output: Output) -> None:
        super().__init__()
        self.sigma = sigma
        self.output = output

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -gaussian_negative_log_likelihood(images, OUTPUTS[self.output](raw), self.sigma, counted)


class LearnedGaussian(Likelihood):
    """Sigma is one parameter, learned with the others (Rybkin et al. 2021, section 3)."""

    pixels = "density"

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.output = output

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -gaussian_negative_log_likelihood(images, OUTPUTS[self.output](raw), self.log_sigma.exp(), counted)


class OptimalGaussian(Likelihood):
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


class Bernoulli(Likelihood):
    """Pixels are 0 or 1; of grey ones it is a cross-entropy."""

    pixels = "cross-entropy"
    output = "sigmoid"

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -bernoulli_negative_log_likelihood((images + 1) / 2, raw, counted)


class ContinuousBernoulli(Likelihood):
    """A density on [0, 1] that keeps the cross-entropy's shape (Loaiza-Ganem & Cunningham 2019)."""

    pixels = "density"
    output = "continuous_bernoulli"

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        in_unit_interval = continuous_bernoulli_negative_log_likelihood((images + 1) / 2, raw, counted)
        return -in_unit_interval - log(2) * dimensions_of(images, counted)  # [-1, 1] is twice as long


class DiscretizedLogistic(Likelihood):
    """A probability of each of the 256 values, of one learned scale (Kingma et al. 2016, appendix)."""

    pixels = "probability"
    output = "tanh"

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        return -discretized_logistic_negative_log_likelihood(images, torch.tanh(raw), self.log_scale, counted)


def build_likelihood(name: str, sigma: float, output: Output) -> Likelihood:
    """By its name in the configuration; `output` is the mean of the Gaussian ones."""
    match name:
        case "gaussian":
            return Gaussian(sigma, output)
        case "gaussian_learned":
            return LearnedGaussian(output)
        case "gaussian_optimal":
            return OptimalGaussian(output)
        case "bernoulli":
            return Bernoulli()
        case "continuous_bernoulli":
            return ContinuousBernoulli()
        case "discretized_logistic":
            return DiscretizedLogistic()
    raise ValueError(f"'{name}' is no likelihood.")
