"""Scenes: one to three labelled images in a frame, with a caption that says which, and where or how they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genlib.conditions.caption.words import LENGTH, LOOKS, MOST, RELATIONS, SIDE, Said, Thing, Vocabulary, places_agree
from genlib.data.folder import SPLITS, Split, captions_file, cells_file, images_file, labels_file
from genlib.data.making.arrays import allocate
from genlib.data.reading.base import frozen_stream
from genlib.errors import UserError
from genlib.pixels.sizes import scene_cell

TEST_SHARE = 10  # train scenes for each test scene
# Probabilities that several things stand in a row or column, that a place is named, and that a look is.
IN_LINE, NAMED_PLACE, LOOKED_AT = 0.6, 0.75, 0.5
EMPTY = -1  # label of a cell with nothing in it

# Two limits of a measure for each pair of words: the first word holds below the first, the second from the second on.
Looks = dict[str, list[float]]


class Things(NamedTuple):
    """Labelled images that scenes are made of."""

    images: np.ndarray  # uint8 (N, C, h, w)
    labels: np.ndarray  # int64 (N,)


def make_scenes(
    things: Path, names: list[str] | None, source: str, count: int, size: int, folder: Path
) -> dict[str, Any]:
    """Write both splits' images, captions and cells, the same each time; returns the facts for the manifest.

    `things` holds the source's images and labels; each split's scenes are made of its own. UserError without labels.
    """
    labelled_things = {split: labelled(things, split) for split in SPLITS} if names else {}
    if not names or not all(len(of_split.images) for of_split in labelled_things.values()):
        raise UserError(
            f"data.scenes are of labelled images, and {source} has none in one of its splits; name data.label_column, "
            "or leave data.scenes out."
        )
    words = Vocabulary(names)
    train = labelled_things["train"].images
    looks = {pair: np.quantile(measure(train), [1 / 3, 2 / 3]).tolist() for pair, measure in MEASURES.items()}
    for split, number in zip(SPLITS, (count, max(1, count // TEST_SHARE)), strict=True):
        write_split(split, labelled_things[split], words, looks, number, size, folder)
    return {"names": names, "looks": looks}


def labelled(things: Path, split: Split) -> Things:
    images = np.load(images_file(things, split), mmap_mode="r")
    if not labels_file(things, split).exists():  # the labels of some test splits are withheld
        return Things(images[:0], np.zeros(0, np.int64))
    labels = np.load(labels_file(things, split))
    return Things(images[labels >= 0], labels[labels >= 0])


def write_split(
    split: Split, things: Things, words: Vocabulary, looks: Looks, count: int, size: int, folder: Path
) -> None:
    stream = frozen_stream(f"scenes {split}")
    channels = things.images.shape[1]
    allocate(images_file(folder, split), (count, channels, size, size))
    scenes = np.load(images_file(folder, split), mmap_mode="r+")
    cells = np.full((count, SIDE**2), EMPTY)
    captions = np.zeros((count, LENGTH), np.int64)
    looks_found = looks_of(things.images, looks)
    for row in range(count):
        where = chosen_cells(stream)
        rows = stream.randint(len(things.images), size=len(where))
        for cell, thing in zip(where, rows, strict=True):
            place(things.images[thing], cell, scenes[row], stream)
            cells[row, cell] = things.labels[thing]
        named = [
            Thing(int(things.labels[thing]), tuple(look for look in looks_found[thing] if stream.rand() < LOOKED_AT))
            for thing in rows
        ]
        captions[row] = words.encode(words.written(said_of(named, where, stream)))
    scenes.flush()
    np.save(cells_file(folder, split), cells)
    np.save(captions_file(folder, split), captions)


def chosen_cells(stream: np.random.RandomState) -> list[int]:
    """One to three random cells; several of them often in a row or column."""
    number = stream.randint(1, MOST + 1)
    if number > 1 and stream.rand() < IN_LINE:
        line, along = stream.randint(SIDE), np.sort(stream.permutation(SIDE)[:number])
        return (along * SIDE + line if stream.rand() < 0.5 else line * SIDE + along).tolist()
    return stream.permutation(SIDE**2)[:number].tolist()


def said_of(named: list[Thing], cells: list[int], stream: np.random.RandomState) -> Said:
    """The content of a caption: with some probability a place or relation that holds, else the things alone."""
    if stream.rand() < 0.5:
        named, cells = named[::-1], cells[::-1]
    if stream.rand() < NAMED_PLACE:
        if len(cells) == 1:
            return Said(tuple(named), cell=cells[0])
        for relation in RELATIONS:
            if places_agree(said := Said(tuple(named), relation=relation), cells):
                return said
    labels = [thing.label for thing in named]
    return Said(tuple(thing if labels.count(thing.label) == 1 else Thing(thing.label) for thing in named))


def place(image: np.ndarray, cell: int, scene: np.ndarray, stream: np.random.RandomState) -> None:
    """Draw an image at a random place within its cell of a scene, uint8 (C, H, W)."""
    size, thing = scene.shape[1], image.shape[1]
    side = scene_cell(size)
    room, margin = side - thing, (size - SIDE * side) // 2
    down, right = stream.randint(room + 1, size=2)
    row, column = divmod(cell, SIDE)
    top, left = margin + row * side + down, margin + column * side + right
    scene[:, top : top + thing, left : left + thing] = image


def thickness(images: np.ndarray) -> np.ndarray:
    """Thickness of strokes in pixels: twice their area over the length of their edges; uint8 (N, C, h, w) => (N,)."""
    ink = np.pad(images.mean(1) / 255, ((0, 0), (1, 1), (1, 1)))
    edges = sum(np.abs(np.diff(ink, axis=axis)).sum((1, 2)) for axis in (1, 2))
    return 2 * ink.sum((1, 2)) / np.maximum(edges, 1e-6)


def slant(images: np.ndarray) -> np.ndarray:
    """Slant of strokes to either side, in columns per row, by second moments; uint8 (N, C, h, w) => (N,)."""
    ink = images.mean(1) / 255
    total = np.maximum(ink.sum((1, 2)), 1e-6)
    rows, columns = np.mgrid[: ink.shape[1], : ink.shape[2]]
    means = [(ink * axis).sum((1, 2)) / total for axis in (rows, columns)]
    down, right = (axis - mean[:, None, None] for axis, mean in zip((rows, columns), means, strict=True))
    return np.abs((ink * down * right).sum((1, 2)) / np.maximum((ink * down**2).sum((1, 2)), 1e-6))


MEASURES = dict(zip(map("/".join, LOOKS), (thickness, slant), strict=True))


def looks_of(images: np.ndarray, looks: Looks) -> list[list[str]]:
    """The words for how each image looks: one of a pair where its measure is in an outer third of the train images."""
    found: list[list[str]] = [[] for _ in images]
    for pair, (least, most) in looks.items():
        low, high = pair.split("/")
        for row, value in enumerate(MEASURES[pair](images)):
            found[row] += [low] if value < least else [high] if value > most else []
    return found
