"""Files that are images, by their names or by their contents; free of Pillow until one is opened."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Lock

IMAGE_SUFFIXES = {
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".pgm", ".ppm", ".pbm", ".pnm", ".tga", ".pcx", ".qoi"),
}
# Formats that a file's first bytes tell without doubt, so that a file of any name can be known as an image.
BY_CONTENTS = (
    "PNG",
    "JPEG",
    "MPO",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "PCX",
    "QOI",
    "ICO",
    "PSD",
)
PILLOW = Lock()  # held while Pillow's settings are changed


def has_image_suffix(name: PurePosixPath) -> bool:
    return name.suffix.lower() in IMAGE_SUFFIXES


def is_image(file: Path) -> bool:
    """Whether a file's contents begin like an image, whatever its name is."""
    from PIL import Image

    with pillow_unlimited_and_silent():
        Image.init()
        try:
            Image.open(file, formats=BY_CONTENTS).close()
        except Exception:  # Pillow's readers raise nearly anything on other files
            return False
    return True


@contextmanager
def pillow_unlimited_and_silent() -> Iterator[None]:
    """Lift Pillow's own limit of pixels, which `max_pixels` replaces, and silence its warnings of odd metadata.

    Both are state of the whole process, hence the lock.
    """
    from PIL import Image

    with PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
