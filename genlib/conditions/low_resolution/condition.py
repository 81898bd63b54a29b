"""Averages over squares of pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.contexts.base import Shape
from genlib.contexts.images import ImageCondition, grey_levels, moved_to_mean, of_uint8
from genlib.errors import UserError
from genlib.pixels.scale import enlarged


class LowResolution(ImageCondition):
    """The average over each square of `factor` x `factor` pixels."""

    name = "low_resolution"
    baseline = "bicubic"

    def __init__(self, image_shape: Shape, factor: int) -> None:
        super().__init__(image_shape)
        channels, height, width = image_shape
        if height % factor or width % factor:
            raise UserError(f"condition.factor ({factor}) must divide the image's size ({height}).")
        self.factor = factor
        self.shape = (channels, height // factor, width // factor)

    def context(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return of_uint8(self.told(images))

    def told(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, self.factor)

    def without_a_model(self, context: Tensor, mean: Tensor) -> Tensor:
        """By the cubic convolution of Keys 1981, a = -1/2."""
        size = self.image_shape[1:]
        return F.interpolate(context, size=size, mode="bicubic", antialias=True).clamp(-1, 1)

    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        wanted, found = (enlarged(small, self.image_shape) for small in (context, self.told(images)))
        return moved_to_mean(images, found, wanted)

    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        return grey_levels(self.told(images), context)
