"""Conditions that are images: from an image to what is given of it, and from a sample to one that keeps it.

A context is in [-1, 1] and of uint8's steps, so that training sees what a file can hold. Every function is pure; what
is drawn comes from the generator that is handed in.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.conditions.base import Condition, Shape
from genlib.errors import UserError
from genlib.pixels.scale import to_uint8, to_unit

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601, section 2.5.1), as Pillow's mode L has it
GREY_LEVELS = 127.5  # of uint8, in a step of 1 on [-1, 1]


class PartOfImage(Condition):
    """What is given of images (B, C, H, W): a context (B, *shape), stored as uint8."""

    dtype = torch.uint8
    shape: Shape  # K, h, w
    baseline: str  # the name of `without_a_model`
    counts_all: bool = True  # whether a likelihood is of all pixels

    @abstractmethod
    def context(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Of images in [-1, 1], (B, C, H, W) => (B, *shape), with the generator's draws."""

    @abstractmethod
    def told(self, images: Tensor) -> Tensor:
        """What a context tells of images where it hides nothing, before rounding, (B, C, H, W) => (B, L, h, w): a
        context's first L channels.
        """

    @abstractmethod
    def without_a_model(self, context: Tensor, mean: Tensor) -> Tensor:
        """The images that one would guess from contexts and the mean image (C, H, W), in [-1, 1], (B, C, H, W)."""

    @abstractmethod
    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        """How far images are from what was given, mean absolute difference in grey levels of uint8, (B,)."""

    def counted(self, context: Tensor) -> Tensor | None:
        """1 at the pixels that are not given as they are, and that a likelihood is of, (B, 1, H, W); None: all."""
        return None

    def taken(self, stored: Tensor) -> Tensor:
        return to_unit(stored)

    def shown(self, context: Tensor) -> Tensor:
        return enlarged(context, self.image_shape).expand(-1, self.image_shape[0], -1, -1)

    def fault(self, stored: Tensor) -> str | None:
        return None

    def form(self) -> str:
        channels, height, width = self.shape
        return f"images of {width}x{height} pixels with {channels} channel{'s' if channels > 1 else ''}"

    def cleaned(self, stored: Tensor) -> Tensor:
        return stored

    def example(self) -> Tensor:
        grey = torch.zeros(1, *self.image_shape)
        return to_uint8(self.context(grey, torch.Generator().manual_seed(0)))


class LowResolution(PartOfImage):
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
        given, found = (enlarged(small, self.image_shape) for small in (context, self.told(images)))
        return moved_to_mean(images, found, given)

    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        return grey_levels(self.told(images), context)


class Masked(PartOfImage):
    """The pixels outside a hole, and a last channel that is 1 there; within the hole all is -1."""

    name = "masked"
    baseline = "mean fill"
    counts_all = False

    def __init__(self, image_shape: Shape, kind: str) -> None:
        super().__init__(image_shape)
        self.kind = kind
        self.shape = (image_shape[0] + 1, *image_shape[1:])

    def context(self, images: Tensor, generator: torch.Generator) -> Tensor:
        _, height, width = self.image_shape
        hidden = HOLES[self.kind](len(images), height, width, generator)[:, None].to(images.device, non_blocking=True)
        return torch.cat([images.masked_fill(hidden, -1.0), torch.where(hidden, -1.0, 1.0).to(images.dtype)], dim=1)

    def told(self, images: Tensor) -> Tensor:
        return images

    def without_a_model(self, context: Tensor, mean: Tensor) -> Tensor:
        return self.keep(mean.expand(len(context), *self.image_shape), context)

    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        return torch.where(hidden_in(context), images, context[:, :-1].to(images.dtype))

    def deviation(self, images: Tensor, context: Tensor) -> Tensor:
        known = (~hidden_in(context)).to(images.dtype)
        difference = (images - context[:, :-1]).abs() * known
        return GREY_LEVELS * difference.flatten(1).sum(1) / (known.flatten(1).sum(1) * self.image_shape[0])

    def shown(self, context: Tensor) -> Tensor:
        """The hole in grey."""
        return context[:, :-1].masked_fill(hidden_in(context), 0.0)

    def counted(self, context: Tensor) -> Tensor | None:
        return hidden_in(context).to(context.dtype)

    def fault(self, context: Tensor) -> str | None:
        shares = hidden_in(to_unit(context)).flatten(1).float().mean(1).tolist()
        for position, share in enumerate(shares):
            if share in (0.0, 1.0):
                return (
                    f"the mask of context {position} hides {'all' if share else 'nothing'}; make the pixels to be "
                    "filled transparent, and leave the others opaque."
                )
        return None

    def form(self) -> str:
        return f"{super().form()}, the last of them transparency: 0 where pixels are to be filled"

    def cleaned(self, context: Tensor) -> Tensor:
        hidden = hidden_in(to_unit(context))
        pixels = context[:, :-1].masked_fill(hidden, 0)
        return torch.cat([pixels, torch.where(hidden, 0, 255).to(torch.uint8)], dim=1)


class Greyscale(PartOfImage):
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


def of_uint8(context: Tensor) -> Tensor:
    """The nearest values that uint8 has, on [-1, 1]."""
    return to_unit(to_uint8(context))


def enlarged(context: Tensor, image_shape: Shape) -> Tensor:
    """Every value as a square of pixels, (B, K, h, w) => (B, K, H, W)."""
    if context.shape[2:] == image_shape[1:]:
        return context
    return F.interpolate(context, size=image_shape[1:], mode="nearest")


def lightness(images: Tensor) -> Tensor:
    """(B, 3, H, W) => (B, 1, H, W)"""
    red, green, blue = images.split(1, dim=1)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


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


TINY = 1e-6


def hidden_in(context: Tensor) -> Tensor:
    """Of a masked context in [-1, 1]; bool (B, 1, H, W)."""
    return context[:, -1:] < 0


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """A box each, whose sides are a quarter to three quarters of the image's; bool (count, H, W)."""
    share = torch.rand(count, 2, 2, generator=generator)
    sides = torch.tensor([height, width])
    long = (sides * (0.25 + 0.5 * share[:, 0])).round().long().clamp_min(1)
    start = ((sides - long + 1) * share[:, 1]).long()
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    (top, left), (tall, broad) = start.T[..., None, None], long.T[..., None, None]
    return (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + broad)


def halves(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """The left, right, upper or lower half each; bool (count, H, W)."""
    rows, columns = torch.arange(height)[:, None].expand(height, width), torch.arange(width).expand(height, width)
    left, upper = columns < width // 2, rows < height // 2
    return torch.stack([left, ~left, upper, ~upper])[torch.randint(4, (count,), generator=generator)]


STROKES, BENDS = 2, 4  # of a brush, and the straight pieces of each


def strokes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Bent strokes of a brush each (after Yu et al. 2019, section 3.5); bool (count, H, W)."""
    size = min(height, width)
    start = torch.rand(count, STROKES, 1, 2, generator=generator) * (size - 1)
    angle = 2 * torch.pi * torch.rand(count, STROKES, BENDS, generator=generator)
    length = size * (0.1 + 0.3 * torch.rand(count, STROKES, BENDS, generator=generator))
    radius = size * (0.03 + 0.05 * torch.rand(count, STROKES, 1, generator=generator))
    steps = torch.stack([angle.cos(), angle.sin()], dim=-1) * length[..., None]
    corners = torch.cat([start, (start + steps.cumsum(2)).clamp(0, size - 1)], dim=2).round()
    ends, others = corners[:, :, :-1].flatten(1, 2)[:, :, None], corners[:, :, 1:].flatten(1, 2)[:, :, None]
    pixels = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float()
    along = others - ends
    share = ((pixels - ends) * along).sum(-1) / along.square().sum(-1).clamp_min(TINY)
    distance = (pixels - ends - share.clamp(0, 1)[..., None] * along).square().sum(-1).sqrt()  # (count, pieces, pixels)
    within = distance <= radius.expand(-1, -1, BENDS).flatten(1)[..., None]
    return within.any(1).reshape(count, height, width)


HOLES = {"box": boxes, "half": halves, "free_form": strokes}
