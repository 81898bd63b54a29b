"""Likelihoods p(x | z) of images under a decoder, a folder each."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule
from genlib.choices.discovery import names_where

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class LikelihoodConfig(Choice):
    """A distribution of pixels, or points, around a decoder's output."""

    folder: ClassVar[str] = "genlib.losses.likelihoods"
    noun: ClassVar[str] = "likelihood"
    training_only: ClassVar[tuple[str, ...]] = ("build",)
    bare: ClassVar[bool] = True
    has_pixel_density: ClassVar[bool] = True  # or a probability of 256 values: bits per dimension exist
    takes_points: ClassVar[bool] = False  # points in the plane
    takes_binary_pixels: ClassVar[bool] = False  # a density could be concentrated on two values without end

    def output(self, default: Output) -> Output:
        """The function from raw values to the mean; `default` is the one for the data's shape."""
        return default

    @abstractmethod
    def build(self, sigma: float, output: Output) -> Likelihood:
        """The likelihood as a module.

        Args:
            sigma: Standard deviation, on the scale of [-1, 1], where it is neither learned nor fitted.
            output: The default function from raw values to the mean for the data's shape.
        """

    @rule
    def points_have_a_likelihood(self, run: RunConfig, key: str) -> str | None:
        """Only a Gaussian likelihood is one of points in the plane; the others are of pixels."""
        if not run.data.is_points or self.takes_points:
            return None
        return (
            f"{key} ({self.name}) is one of pixels, and data.source {run.data.source} is points in the plane; use "
            f"{names_where(LikelihoodConfig, 'takes_points')}."
        )

    @rule
    def binary_pixels_have_a_probability(self, run: RunConfig, key: str) -> str | None:
        """Binary pixels take a bernoulli likelihood: a density could be concentrated on them without end."""
        if run.data.is_points or run.data.binarize == "none" or self.takes_binary_pixels:
            return None
        return (
            f"data.binarize ({run.data.binarize}) makes pixels 0 or 1, which {key} ({self.name}) is no probability of; "
            f"use {names_where(LikelihoodConfig, 'takes_binary_pixels')}."
        )
