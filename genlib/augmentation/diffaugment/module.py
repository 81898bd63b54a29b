"""Differentiable augmentation (Zhao et al. 2020, section 3.2 and appendix A)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.layers.augment import Augment

TRANSLATION, CUTOUT = 0.125, 0.5  # of the image's size


class DiffAugment(Augment):
    """Images (B, C, H, W) in [-1, 1] => the same shape in float32, each altered by draws of its own from the global
    generator.

    `policy` names the alterations, which are applied in this order: color (brightness, saturation, contrast),
    translation, cutout.
    """

    def __init__(self, policy: tuple[str, ...] = ("color", "translation", "cutout")) -> None:
        super().__init__()
        known = {"color": color, "translation": translation, "cutout": cutout}
        unknown = [name for name in policy if name not in known]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is no augmentation; use {', '.join(known)}.")
        self.functions = [function for name, function in known.items() if name in policy]

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise ValueError(f"augmentation alters images (B, C, H, W), not {tuple(images.shape)}; leave it out.")
        images = images.float()  # in one precision, lest rounding tell fakes of a generator under autocast from reals
        for function in self.functions:
            images = function(images)
        return images


def uniform(images: Tensor) -> Tensor:
    """A number in [0, 1) for each image, (B, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def color(images: Tensor) -> Tensor:
    """Brightness by up to a quarter of the range, saturation by a factor up to 2, contrast by one of 0.5 to 1.5."""
    images = images + (uniform(images) - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * uniform(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (uniform(images) + 0.5)


def translation(images: Tensor) -> Tensor:
    """A shift by up to an eighth of the size in whole pixels; grey (0) moves in."""
    height, width = images.shape[2:]
    rows = shifted(images, height).clamp(-1, height)  # -1 and height are outside
    columns = shifted(images, width).clamp(-1, width)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None] + 1, columns[:, None, :] + 1].permute(0, 3, 1, 2)


def shifted(images: Tensor, size: int) -> Tensor:
    """Row (or column) that each row (or column) of an image comes from, int64 (B, size)."""
    reach = int(size * TRANSLATION + 0.5)
    shift = torch.randint(-reach, reach + 1, (len(images), 1), device=images.device)
    return torch.arange(size, device=images.device) + shift


def cutout(images: Tensor) -> Tensor:
    """A square of half the size becomes grey (0); a part of it may lie outside."""
    height, width = images.shape[2:]
    rows, columns = hidden(images, height), hidden(images, width)
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])


def hidden(images: Tensor, size: int) -> Tensor:
    """Whether a row (or column) of an image is in its square, bool (B, size)."""
    length = int(size * CUTOUT + 0.5)
    centre = torch.randint(0, size + (1 - length % 2), (len(images), 1), device=images.device)
    distance = torch.arange(size, device=images.device) - (centre - length // 2)
    return (distance >= 0) & (distance < length)
