"""Contexts that are images, made from the one that is to be drawn.

A context is in [-1, 1] and of uint8's steps, so that training sees what a file can hold. Every function is pure; what
is drawn comes from the generator that is handed in.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genlib.contexts.base import Condition, ContextSource, Shape
from genlib.contexts.pictures import pixels_of
from genlib.errors import UserError
from genlib.pixels.scale import enlarged, to_uint8, to_unit

GREY_LEVELS = 127.5  # of uint8, in a step of 1 on [-1, 1]
TINY = 1e-6


class ImageCondition(Condition):
    """Contexts (B, *shape) that images (B, C, H, W) make, stored as uint8."""

    is_image = True
    scorer = "genlib.evaluation.scoring.pairs:PairScorer"
    has_mask: ClassVar[bool] = False  # whether the last channel says which pixels are known; in files transparency does
    baseline: ClassVar[str]  # the name of `without_a_model`

    dtype = torch.uint8
    shape: Shape  # K, h, w

    @abstractmethod
    def context(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The contexts of images in [-1, 1], (B, C, H, W) => (B, *shape), with the generator's draws."""

    @abstractmethod
    def told(self, images: Tensor) -> Tensor:
        """The first L channels of the contexts of images where nothing is hidden, before rounding,
        (B, C, H, W) => (B, L, h, w).
        """

    @abstractmethod
    def without_a_model(self, context: Tensor, mean: Tensor) -> Tensor:
        """The images that one would guess from contexts and the mean image (C, H, W), in [-1, 1], (B, C, H, W)."""

    @abstractmethod
    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        """Mean absolute difference of images to contexts, in grey levels of uint8, (B,)."""

    def stored(self, dataset: Any, split: str) -> None:
        return None

    def of_images(self, images: Tensor, stored: Tensor | None, generator: torch.Generator) -> Tensor:
        return self.context(images, generator)

    def taken(self, stored: Tensor) -> Tensor:
        return to_unit(stored)

    def to_stored(self, taken: Tensor) -> Tensor:
        return to_uint8(taken)

    def counted(self, context: Tensor) -> Tensor | None:
        return None

    def shown(self, context: Tensor) -> Tensor:
        return enlarged(context, self.image_shape).expand(-1, self.image_shape[0], -1, -1)

    def texts(self, stored: Tensor) -> list[str]:
        return []

    def form(self) -> str:
        channels, height, width = self.shape
        return f"images of {width}x{height} pixels with {channels} channel{'s' if channels > 1 else ''}"

    def example(self) -> Tensor:
        grey = torch.zeros(1, *self.image_shape)
        return to_uint8(self.context(grey, torch.Generator().manual_seed(0)))

    def fault(self, stored: Tensor) -> str | None:
        return None

    def cleaned(self, stored: Tensor) -> Tensor:
        return stored

    def read(self, source: ContextSource) -> Tensor:
        """Images are read as `prepare` reads them: upright, with 8 bits, on white where they are transparent."""
        found = source.array()
        if found is None:
            _, height, width = self.shape
            pictures = source.pictures((width, height), self.name)
            found = np.stack([pixels_of(image, self.shape, self.has_mask, file, self.name) for file, image in pictures])
        if found.dtype != np.uint8 or found.ndim != 4 or found.shape[1:] != self.shape or not len(found):
            raise UserError(
                f"{source} holds {found.dtype} of shape {'x'.join(map(str, found.shape))}, and condition {self.name} "
                f"takes uint8 of shape {'x'.join(map(str, ('n', *self.shape)))}."
            )
        return torch.from_numpy(np.array(found))

    def requested(self, values: Any) -> Tensor:
        try:
            pixels = np.array(values)
        except ValueError as error:
            raise UserError(f"the images of the request differ in size; give {self.form()}.") from error
        if pixels.dtype.kind not in "iu" or (pixels.size and (pixels.min() < 0 or pixels.max() > 255)):
            found = f"numbers from {pixels.min()} to {pixels.max()}" if pixels.dtype.kind in "iu" else pixels.dtype
            raise UserError(f"the request holds {found}; give whole numbers from 0 to 255: {self.form()}.")
        return torch.from_numpy(pixels.astype(np.uint8))

    def request(self) -> np.ndarray:
        return self.example().numpy()

    def request_form(self) -> str:
        return f"an array of whole numbers from 0 to 255 (n, {', '.join(map(str, self.shape))})"


def of_uint8(context: Tensor) -> Tensor:
    """The nearest values that uint8 has, on [-1, 1]."""
    return to_unit(to_uint8(context))


def grey_levels(found: Tensor, given: Tensor) -> Tensor:
    """(B, ...) twice => (B,)"""
    return GREY_LEVELS * (found - given).abs().flatten(1).mean(1)


def moved_to_mean(values: Tensor, found: Tensor, wanted: Tensor) -> Tensor:
    """Values in [-1, 1] whose mean over a group, plain or weighted, is `found`, moved to one of `wanted`, broadcast.

    All distances to the bound that lies in the mean's way shrink alike, so that the values stay within [-1, 1].
    """
    up = wanted >= found
    towards_one = 1 - (1 - values) * ((1 - wanted) / (1 - found).clamp_min(TINY)).clamp_max(1)
    towards_minus_one = (1 + values) * ((1 + wanted) / (1 + found).clamp_min(TINY)).clamp_max(1) - 1
    return torch.where(up, towards_one, towards_minus_one)
