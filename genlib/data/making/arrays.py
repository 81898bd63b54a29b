"""Array files of images: allocation, removal of rows, and sums of pixels."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap

from genlib.errors import UserError

CHUNK = 1024  # images in memory at once


class PixelSums(NamedTuple):
    """Exact sums of pixels, per channel."""

    pixels: int  # number of pixels of a channel
    sums: np.ndarray  # int64 (C,)
    squares: np.ndarray  # int64 (C,)

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Per channel, 0 to 255; only the last step rounds (float64)."""
        count, sums, squares = self.pixels, self.sums.tolist(), self.squares.tolist()
        variances = [(count * square - total**2) / count**2 for total, square in zip(sums, squares, strict=True)]
        return [total / count for total in sums], [variance**0.5 for variance in variances]


def pixel_sums(file: Path) -> PixelSums:
    """The sums over an array file, uint8 (N, C, H, W)."""
    images = np.load(file, mmap_mode="r")
    sums = squares = np.zeros(images.shape[1], np.int64)
    for start in range(0, len(images), CHUNK):
        pixels = images[start : start + CHUNK].astype(np.int64)
        sums, squares = sums + pixels.sum((0, 2, 3)), squares + (pixels * pixels).sum((0, 2, 3))
    return PixelSums(images.size // images.shape[1], sums, squares)


def allocate(file: Path, shape: tuple[int, ...]) -> None:
    """Make an array file with its room on disk reserved: a full disk is an error now, not a killed worker later."""
    try:
        open_memmap(file, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):
            with file.open("r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # a file system that cannot reserve
            return
        raise UserError(
            f"GENLIB_HOME has no room for {np.prod(shape) / 2**30:.1f} GiB of images ({error.strerror}); free some, "
            "or set it to a folder on another disk."
        ) from error


def keep_rows(file: Path, kept: np.ndarray) -> None:
    """Leave only these rows, int64 (n,), in an array file."""
    whole = np.load(file, mmap_mode="r")
    shorter = file.with_suffix(".kept")
    target = open_memmap(shorter, "w+", np.uint8, (len(kept), *whole.shape[1:]))
    for start in range(0, len(kept), CHUNK):
        target[start : start + CHUNK] = whole[kept[start : start + CHUNK]]
    os.replace(shorter, file)
