"""The lightness of colour images."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.contexts.base import Shape
from genlib.contexts.images import ImageCondition, grey_levels, moved_to_mean, of_uint8
from genlib.errors import UserError

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601, section 2.5.1), as Pillow's mode L has it


class Greyscale(ImageCondition):
    """The lightness of a colour image: the weighted mean of its channels."""

    name = "greyscale"
    baseline = "grey copied"

    def __init__(self, image_shape: Shape) -> None:
        super().__init__(image_shape)
        if image_shape[0] != 3:
            raise UserError(f"condition greyscale takes the colour of images of 3 channels, not {image_shape[0]}.")
        self.shape = (1, *image_shape[1:])

    def context(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return of_uint8(self.told(images))

    def told(self, images: Tensor) -> Tensor:
        return lightness(images)

    def without_a_model(self, context: Tensor, mean: Tensor) -> Tensor:
        return self.shown(context)

    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        return moved_to_mean(images, self.told(images), context)

    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        return grey_levels(self.told(images), context)


def lightness(images: Tensor) -> Tensor:
    """(B, 3, H, W) => (B, 1, H, W)"""
    red, green, blue = images.split(1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
