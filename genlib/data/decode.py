"""Encoded images, of any mode that Pillow reads, to uint8 (C, H, W) at the size asked. Imported by every worker."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Encoded = bytes | str | np.ndarray | None  # file contents, a file's path, grey pixels uint8 (H, W), or nothing there

# Pillow's bicubic widens its support when it shrinks, so nothing aliases; it rings less than Lanczos at the hard edges
# of digits and text; and it is the filter of the published FID protocol (Parmar et al. 2022, clean-fid).
FILTER = Image.Resampling.BICUBIC


class Job(NamedTuple):
    """Consecutive rows of one array file."""

    file: Path  # .npy, uint8 (N, C, S, S)
    start: int
    encoded: list[Encoded]


class Filled(NamedTuple):
    """What became of a job; a failed row is left black and adds nothing to the sums."""

    rows: int
    failures: dict[int, str]  # row of the file => reason
    sums: np.ndarray  # int64 (C,): of the pixels, exactly
    squares: np.ndarray  # int64 (C,)


def fill(job: Job) -> Filled:
    """Decode a job's images into its file."""
    target = np.load(job.file, mmap_mode="r+")
    _, channels, size, _ = target.shape
    block = np.zeros((len(job.encoded), channels, size, size), np.uint8)
    failures = {}
    for row, encoded in enumerate(job.encoded):
        try:
            block[row] = decode(encoded, size, channels)
        except Exception as error:  # Pillow's readers raise nearly anything on damaged contents
            file = f"{encoded}: " if isinstance(encoded, str) else ""
            failures[job.start + row] = file + reason(error)
    target[job.start : job.start + len(block)] = block
    pixels = block.astype(np.int64)
    return Filled(len(block), failures, pixels.sum((0, 2, 3)), (pixels * pixels).sum((0, 2, 3)))


def reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its message is an object's address
        return "no image format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def decode(encoded: Encoded, size: int, channels: int) -> np.ndarray:
    """uint8 (channels, size, size): the centred square of the upright image, on white where it is transparent.

    Raises whatever Pillow raises, and ValueError, for an image that cannot be read.
    """
    with opened(encoded) as image:
        upright = ImageOps.exif_transpose(image) if image.getexif() else image
        colour = to_eight_bits(upright)
        if colour.has_transparency_data:
            colour = colour.convert("RGBA")
            # White is what pages and viewers put behind cut-out images.
            colour = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
        mode = "L" if channels == 1 else "RGB"
        if colour.mode != mode:
            colour = colour.convert(mode)
        if colour.size != (size, size):
            colour = ImageOps.fit(colour, (size, size), FILTER)
    pixels = np.asarray(colour)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def opened(encoded: Encoded) -> Image.Image:
    if encoded is None:
        raise ValueError("the image is missing")
    if isinstance(encoded, np.ndarray):
        return Image.fromarray(encoded)
    return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey images of more than 8 bits, scaled and rounded rather than clipped; others as they are.

    Modes I;16 and I hold 0 to 65535, as Pillow's PNG, TIFF and PGM readers make them; mode F holds 0 to 1, or 0 to 255
    as Pillow's own conversion makes it.
    """
    if image.mode == "F":
        return grey(image, 1 if np.asarray(image).max() <= 1 else 255)
    return grey(image, 65535) if image.mode.startswith("I") else image


def grey(image: Image.Image, white: int) -> Image.Image:
    """Mode L from values 0 to `white`; ValueError for others (NaN included), whose scale nobody knows."""
    values = np.asarray(image).astype(np.float64)
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its mode-{image.mode} pixels lie outside 0 to {white}")
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
