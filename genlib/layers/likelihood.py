"""Likelihoods as modules, with the parameters that they learn, and sums over the pixels that count."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    """p(x | z) of images in [-1, 1] under a decoder's raw values."""

    pixels: ClassVar[Literal["density", "probability", "cross-entropy"]]

    @abstractmethod
    def forward(self, images: Tensor, raw: Tensor, counted: Tensor | None = None) -> Tensor:
        """log p(x | z) in nats, (B, ...) => (B,), of the pixels where `counted`, (B, 1, H, W), is 1, or all."""


class FittedLikelihood(Likelihood):
    """A likelihood with a parameter that is fitted, after training, to images that it sees in between two calls."""

    @abstractmethod
    def begin_fit(self) -> None:
        """Collect what `end_fit` needs of each batch from now on."""

    @abstractmethod
    def end_fit(self) -> None:
        """Set the parameter to the best one for the batches since `begin_fit`, of which there must be one."""


def summed(values: Tensor, counted: Tensor | None) -> Tensor:
    """Sum over an image's dimensions, or over those that count; (B, ...) => (B,)."""
    return (values if counted is None else values * counted).flatten(1).sum(1)


def dimensions_of(images: Tensor, counted: Tensor | None) -> int | Tensor:
    """Number of an image's dimensions, or numbers of those that count, (B,)."""
    return images[0].numel() if counted is None else counted.expand_as(images).flatten(1).sum(1)
