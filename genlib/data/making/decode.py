"""Encoded images, of any mode that Pillow reads, to uint8 (C, H, W) at the size asked. Imported by every worker."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from genlib.data.reading.base import Encoded
from genlib.data.reading.image_files import pillow_unlimited_and_silent
from genlib.pixels.fitting import fitted, on_white
from genlib.pixels.sizes import MAX_PIXELS


class Job(NamedTuple):
    """Consecutive rows of one array file."""

    file: Path  # .npy, uint8 (N, C, S, S)
    start: int
    encoded: list[Encoded]
    max_pixels: int = MAX_PIXELS  # most pixels of an image before it is resized


class Failure(NamedTuple):
    """The reason why an image could not be read."""

    reason: str
    file: str | None  # the image's own, if it has one

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}" if self.file else self.reason


class Filled(NamedTuple):
    """The result of a job; a failed row is black and adds nothing to the sums."""

    rows: int
    failures: dict[int, Failure]  # by row of the file
    sums: np.ndarray  # int64 (C,): exact sums of the pixels
    squares: np.ndarray  # int64 (C,)


def fill(job: Job) -> Filled:
    """Decode a job's images into its file."""
    target = np.load(job.file, mmap_mode="r+")
    _, channels, size, _ = target.shape
    block = np.zeros((len(job.encoded), channels, size, size), np.uint8)
    failures = {}
    for row, encoded in enumerate(job.encoded):
        try:
            block[row] = decode(encoded, size, channels, job.max_pixels)
        except MemoryError:  # no fault of the image
            raise
        except Exception as error:  # Pillow's readers raise nearly anything on damaged contents
            failures[job.start + row] = Failure(reason(error), encoded if isinstance(encoded, str) else None)
    target[job.start : job.start + len(block)] = block
    pixels = block.astype(np.int64)
    return Filled(len(block), failures, pixels.sum((0, 2, 3)), (pixels * pixels).sum((0, 2, 3)))


def reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its message is an object's address
        return "no image format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def decode(encoded: Encoded, size: int, channels: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """uint8 (channels, size, size): the centred square of the upright image, on white where it is transparent.

    Raises whatever Pillow raises, and ValueError, for an image that cannot be read or has more than `max_pixels`.
    """
    image = on_white(upright_eight_bit(encoded, max_pixels))
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.asarray(fitted(image, (size, size)))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def upright_eight_bit(encoded: Encoded, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The whole image, loaded and turned upright, in mode L, LA, RGB or RGBA; it has alpha if it has transparency.

    Grey and palette images whose transparency is one colour get alpha 0 there and 255 elsewhere. Raises whatever Pillow
    raises, and ValueError, for an image that cannot be read or has more than `max_pixels` pixels.
    """
    with pillow_unlimited_and_silent(), opened(encoded) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"it has {image.width}x{image.height} pixels, more than data.max_pixels={max_pixels} allows"
            )
        transparent = transparent_value(image)
        image.load()  # Pillow opens lazily: later, the file is closed
        if transparent is not None:
            image.info["transparency"] = transparent
        eight_bit = to_eight_bits(ImageOps.exif_transpose(image) if has_exif(image) else image)
        mode = "L" if eight_bit.mode in ("1", "L", "La", "LA") else "RGB"
        mode += "A" if eight_bit.has_transparency_data else ""
        return eight_bit if eight_bit.mode == mode else eight_bit.convert(mode)


def opened(encoded: Encoded) -> Image.Image:
    if encoded is None:
        raise ValueError("the image is missing")
    if isinstance(encoded, np.ndarray):
        return Image.fromarray(encoded)
    return Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded)


def has_exif(image: Image.Image) -> bool:
    try:
        return bool(image.getexif())
    except Exception:  # damaged EXIF raises nearly anything; the pixels are loaded, and whole
        return False


def transparent_value(image: Image.Image) -> int | tuple[int, ...] | None:
    """The one transparent grey or colour of a PNG in the scale of the pixels that Pillow gives; None if there is none.

    Pillow scales samples of 2 and 4 bits up to 8 and keeps the upper half of colours' 16 bits, and leaves this value
    as the file has it.
    """
    value = image.info.get("transparency")
    raw = image.tile[0].args if isinstance(image, ImageFile.ImageFile) and image.tile else None
    if isinstance(value, int) and raw in ("L;2", "L;4"):
        return value * (85 if raw == "L;2" else 17)
    if isinstance(value, tuple) and raw == "RGB;16B":
        return tuple(part >> 8 for part in value)
    return None


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey images of more than 8 bits, scaled and rounded rather than clipped; others as they are.

    Modes I;16 and I hold 0 to 65535, as Pillow's PNG, TIFF and PGM readers make them; mode F holds 0 to 1, or 0 to 255
    as Pillow's own conversion makes it.
    """
    if image.mode == "F":
        return grey(image, 1 if np.asarray(image).max() <= 1 else 255)
    return grey(image, 65535) if image.mode.startswith("I") else image


def grey(image: Image.Image, white: int) -> Image.Image:
    """Mode L from values 0 to `white`, or LA if one of them is transparent; ValueError for others (NaN included), whose
    scale nobody knows.
    """
    values = np.asarray(image).astype(np.float64)
    if not (values.min() >= 0 and values.max() <= white):
        raise ValueError(f"its mode-{image.mode} pixels lie outside 0 to {white}")
    scaled = Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:  # compared before values that differ become equal
        scaled.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return scaled
