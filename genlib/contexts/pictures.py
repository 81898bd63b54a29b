"""Pillow images as contexts."""

from __future__ import annotations

import numpy as np
from PIL import Image

from genlib.contexts.base import Shape
from genlib.errors import UserError
from genlib.pixels.fitting import FILTER, fitted, on_white

OPAQUE = 128  # the least alpha of a pixel that counts as known


def pixels_of(image: Image.Image, shape: Shape, has_mask: bool, file: str, condition: str) -> np.ndarray:
    """uint8 (K, h, w), the image's centre scaled where its size is another; on white where it is transparent.

    With `has_mask` the last channel is 255 where pixels are known, and 0 where the image is transparent. UserError for
    an image without transparency then, and for colours where one channel is needed.
    """
    channels, height, width = shape
    if has_mask:
        if not image.mode.endswith("A"):
            raise UserError(f"{file} has no transparent pixels, which condition {condition} fills; make some so.")
        planes, known = hole_apart(image, (width, height))
    else:
        planes = np.asarray(fitted(on_white(image), (width, height)).convert("RGB")).transpose(2, 0, 1)
    if channels - has_mask == 1:
        if (planes != planes[:1]).any():
            raise UserError(f"{file} is in colour, and condition {condition} takes one channel; make it grey.")
        planes = planes[:1]
    return np.concatenate([planes, known[None]]) if has_mask else planes


def hole_apart(image: Image.Image, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The colours of an image with alpha, uint8 (3, h, w), 0 in its hole; and uint8 (h, w), 255 where they are known.

    A pixel of another size is known if all pixels that it covers are. Its colour is the weighted mean of known pixels,
    so that no colour from under the hole reaches it.
    """
    opaque = (np.asarray(image.getchannel("A")) >= OPAQUE).astype(np.float32)
    colours = np.asarray(image.convert("RGB"), np.float32).transpose(2, 0, 1)
    hidden_share = scaled(1 - opaque, size, Image.Resampling.BOX)
    weights = scaled(opaque, size)
    means = np.stack([scaled(colour * opaque, size) for colour in colours]) / np.where(hidden_share > 0, 1, weights)
    found = np.rint(means).clip(0, 255).astype(np.uint8)
    return np.where(hidden_share > 0, np.uint8(0), found), np.where(hidden_share > 0, 0, 255).astype(np.uint8)


def scaled(values: np.ndarray, size: tuple[int, int], resampling: Image.Resampling = FILTER) -> np.ndarray:
    """float32 (H, W) => float32 (h, w)"""
    return np.asarray(fitted(Image.fromarray(values), size, resampling))
