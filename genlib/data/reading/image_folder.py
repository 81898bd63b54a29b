"""A folder of images, [split/][class/]image: every file is taken, or counted as left out and named."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from genlib.data.reading.base import LeftOut, RawDataset, Rows, kind_of, left_out
from genlib.data.reading.classes import class_order
from genlib.data.reading.fingerprint import Listing
from genlib.data.reading.image_files import has_image_suffix, is_image
from genlib.data.reading.splits import choose, is_for_training, looks_like_a_split, proposed_splits
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

log = logging.getLogger(__name__)
NAMED = 5  # most folders that a message names
NO_IMAGES = "files that are no images"


def image_folder(listing: Listing, config: DataConfig) -> RawDataset:
    """The splits asked for, their labels by the names of the folders that the images lie in.

    A file without a suffix of IMAGE_SUFFIXES is an image if its contents say so. UserError if there is no image, or if
    it is not clear which folders are splits and which are classes.
    """
    root = listing.root
    for key, stands_for in (("image_column", "image"), ("label_column", "label")):
        if (column := getattr(config, key)) not in (None, stands_for):
            raise UserError(
                f"data.{key} is '{column}', but {root} is a folder of images and has no columns; set data.{key}=null."
            )
    images, others = images_and_others(listing.names, root)
    if not images:
        raise UserError(
            f"data.source {root} holds neither an image nor a table of images, but {counted(map(kind_of, others))} "
            f"(the first: {others[0]}); name a folder with images or Parquet files."
        )
    beside = [left_out(NO_IMAGES, others, kind_of)]
    nested = config.folders == "splits" or are_splits(images, config, root)
    splits = in_splits(images, root, beside) if nested else {"train": images}
    train, test = choose({name: (name, members) for name, members in splits.items()}, config)
    unused = [
        image for name, members in splits.items() if name not in (train[0], test and test[0]) for image in members
    ]
    beside.append(left_out("images of splits that are not asked for", unused, lambda image: f"{image.parts[0]}/"))

    found = [
        (name, *in_classes(name, members, nested, config, root, beside))
        for name, members in filter(None, (train, test))
    ]
    label_names = (
        None if found[0][2] is None else class_order(name for _, _, classes in found for name in classes or ())
    )
    if config.label_column and not label_names:
        raise UserError(
            f"data.label_column is '{config.label_column}', but the images of {root} lie in no class folders; set "
            "data.label_column=null."
        )
    rows = [
        rows_of(name, [str(root / image) for image in members], classes, label_names)
        for name, members, classes in found
    ]
    return RawDataset(rows[0], rows[1] if test else None, label_names, [group for group in beside if group.count])


def images_and_others(names: Iterable[PurePosixPath], root: Path) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """The files of a folder that are images by their suffix, or else by their contents, and the others, both sorted."""
    images: list[PurePosixPath] = []
    others: list[PurePosixPath] = []
    for name in sorted(names):
        (images if has_image_suffix(name) or is_image(root / name) else others).append(name)
    return images, others


def without_others(names: Iterable[PurePosixPath], root: Path) -> list[Path]:
    """The images of a folder; a warning counts and names its other files."""
    images, others = images_and_others(names, root)
    if images and others:
        log.warning("%s", left_out(NO_IMAGES, others, kind_of).sentence(str(root)))
    return [root / name for name in images]


def rows_of(split: str, files: list[str], classes: list[str] | None, label_names: list[str] | None) -> Rows:
    labels = None
    if label_names and classes is not None:
        position = {name: label for label, name in enumerate(label_names)}
        labels = np.array([position[name] for name in classes], np.int64)
    return Rows(split, range(len(files)), lambda numbers: [files[number] for number in numbers], labels)


def in_splits(images: list[PurePosixPath], root: Path, beside: list[LeftOut]) -> dict[str, list[PurePosixPath]]:
    """The images of each top folder."""
    splits: dict[str, list[PurePosixPath]] = {}
    for image in images:
        if len(image.parts) > 1:
            splits.setdefault(image.parts[0], []).append(image)
    if not splits:
        raise UserError(f"data.folders is 'splits', but {root} has no folders with images; set data.folders=null.")
    loose = [image for image in images if len(image.parts) == 1]
    beside.append(left_out("images beside the split folders", loose, kind_of))
    return splits


def are_splits(images: list[PurePosixPath], config: DataConfig, root: Path) -> bool:
    """Whether the top folders are splits, by their names; UserError where the names do not tell."""
    if config.folders is not None:
        return False
    folders = sorted({image.parts[0] for image in images if len(image.parts) > 1})
    alike = [name for name in folders if looks_like_a_split(name)]
    others = [name for name in folders if name not in (*alike, config.train_split, config.test_split)]
    if config.train_split in folders:
        if others and config.test_split not in folders:
            raise UserError(
                f"the top folders of {root} are {named(folders)}, of which '{config.train_split}' is data.train_split "
                f"and {named(others)} look like no splits; set data.folders=classes if all are classes, or "
                "data.folders=splits to read data.train_split and data.test_split only."
            )
        return True
    if alike:
        of_these = "" if alike == folders else f", of which {named(alike)}"
        proposed = proposed_splits(alike, config) if any(map(is_for_training, alike)) else "data.train_split"
        raise UserError(
            f"the top folders of {root} are {named(folders)}{of_these}: these look like splits; set {proposed} "
            "to read them so, or data.folders=classes if they are classes."
        )
    below = sorted({image.parts[:2] for image in images if len(image.parts) > 2 and looks_like_a_split(image.parts[1])})
    if below:
        places = ["/".join(parts) for parts in below]
        raise UserError(
            f"folders in the top folders of {root} look like splits ({named(places)}); splits are top folders: set "
            f"data.source={root / below[0][0]} to read it alone, data.folders=classes if the top folders are "
            "classes, or data.folders=ignored to read all images without labels."
        )
    return False


def in_classes(
    split: str, images: list[PurePosixPath], nested: bool, config: DataConfig, root: Path, beside: list[LeftOut]
) -> tuple[list[PurePosixPath], list[str] | None]:
    """A split's images and their classes, by the folders that they lie in; None where they lie in none.

    Few images beside class folders are left out. UserError where it is not clear which folders are classes.
    """
    if config.folders == "ignored":
        return images, None
    above = 1 if nested else 0  # folders above those of classes
    loose = [image for image in images if len(image.parts) == above + 1]
    classed = [image for image in images if len(image.parts) > above + 1]
    if not classed:
        return images, None
    tops = sorted({image.parts[above] for image in classed})
    if len(loose) > len(classed):
        raise UserError(
            f"{len(loose):,} images of {root} lie in no class folder (the first: {loose[0]}) and {len(classed):,} in "
            f"folders ({named(tops)}); move the ones or the others elsewhere, or set data.folders=ignored to read all "
            "without labels."
        )
    beside.append(left_out(f"images beside the class folders of split '{split}'", loose, kind_of))
    depths = {len(image.parts) for image in classed}
    if config.folders != "classes" and len(depths) > 1:
        shallow, deep = (pick(classed, key=lambda image: len(image.parts)) for pick in (min, max))
        raise UserError(
            f"images of {root} lie at different depths ({shallow}, {deep}), so their classes are not clear; set "
            f"data.folders=classes if the top folders ({named(tops)}) are the classes, or data.folders=ignored to read "
            "all without labels."
        )
    by_top = config.folders == "classes"
    return classed, [image.parts[above] if by_top else image.parent.name for image in classed]


def counted(kinds: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in Counter(kinds).most_common(NAMED))


def named(names: Sequence[str]) -> str:
    """The first few names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
