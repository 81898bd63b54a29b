"""Images derived from decoded ones: three grey images stacked as one of colour, pixels made black or white."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from genlib.data.folder import Split, images_file, labels_file
from genlib.data.making.arrays import CHUNK, allocate
from genlib.data.reading.base import frozen_stream
from genlib.errors import UserError

MOST_CLASSES = 100  # stacked, they make a million


def stack(split: Split, grey: Path, count: int, classes: int, folder: Path) -> None:
    """Stacked MNIST (Metz et al. 2017; Srivastava et al. 2017): grey images as red, green and blue.

    Each of the `count` images is three random ones of `grey`, drawn with replacement, the same each time. Labels a, b
    and c, where there are labels, become a * classes^2 + b * classes + c.
    """
    images = np.load(images_file(grey, split), mmap_mode="r")
    triples = frozen_stream(f"stacked {split}").randint(0, len(images), (count, 3), dtype=np.int64)
    file = images_file(folder, split)
    allocate(file, (count, 3, *images.shape[2:]))
    target = np.load(file, mmap_mode="r+")
    for start in range(0, count, CHUNK):
        target[start : start + CHUNK] = images[triples[start : start + CHUNK], 0]
    if labels_file(grey, split).exists():
        labels = np.load(labels_file(grey, split))
        np.save(labels_file(folder, split), labels[triples] @ np.array([classes**2, classes, 1]))


def stacked_names(names: list[str], source: str) -> list[str]:
    """The names of all triples, in the order of their labels; UserError where there would be too many."""
    if len(names) > MOST_CLASSES:
        raise UserError(
            f"data.stacked makes {len(names) ** 3} classes of the {len(names)} of {source}; "
            f"stack images of {MOST_CLASSES} classes at most."
        )
    joint = "-" if max(map(len, names)) > 1 else ""
    return [joint.join(triple) for triple in product(names, repeat=3)]


def binarize(split: Split, folder: Path) -> None:
    """Set each pixel to 255 with its grey value as probability, else to 0, in place, the same each time (Salakhutdinov
    & Murray 2008; Larochelle & Murray 2011).
    """
    images = np.load(images_file(folder, split), mmap_mode="r+")
    stream = frozen_stream(f"binarized {split}")
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        chunk[:] = 255 * (255 * stream.random_sample(chunk.shape) < chunk)
