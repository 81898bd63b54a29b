"""Images with a hole."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.conditions.masked.holes import HOLES
from genlib.contexts.base import Shape
from genlib.contexts.images import GREY_LEVELS, ImageCondition
from genlib.pixels.scale import to_unit


class Masked(ImageCondition):
    """The pixels outside a hole, and a last channel that is 1 there; within the hole all is -1."""

    name = "masked"
    baseline = "mean fill"
    counts_all_pixels = False
    has_mask = True

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


def hidden_in(context: Tensor) -> Tensor:
    """Whether a pixel of masked contexts in [-1, 1] is hidden, bool (B, 1, H, W)."""
    return context[:, -1:] < 0
