"""Tables of a source, by whichever library they are read: which column holds the images and which the labels."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genlib.data.reading.base import RawDataset, Rows
from genlib.data.reading.classes import class_order
from genlib.data.reading.splits import choose
from genlib.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from genlib.data.config import DataConfig
    from genlib.data.reading.base import Encoded


log = logging.getLogger(__name__)
Kind = Literal["image", "bytes", "classes", "numbers", "booleans", "words", "nothing", "other"]
IMAGES: tuple[Kind, ...] = ("image", "bytes")
LABELS: tuple[Kind, ...] = ("classes", "numbers", "booleans", "words", "nothing")
WITHHELD = -1  # in a column of numbers or classes: the label is withheld, as in some test splits
Label = int | str  # booleans are integers


@dataclass(frozen=True)
class Column:
    kind: Kind  # bytes: perhaps encoded images without the type; numbers: integers or floats; nothing: nulls alone
    type: str  # the reader's name of it
    names: tuple[str, ...] = ()  # the classes, where the kind is "classes"

    def agrees_with(self, other: Column) -> bool:
        """Whether both can be read as one column: images of any type, or labels of the same kind and names."""
        if self.kind in IMAGES:
            return other.kind in IMAGES
        if self.kind in LABELS and other.kind in LABELS and "nothing" in (self.kind, other.kind):
            return True
        return (self.kind, self.names) == (other.kind, other.names)


ABSENT = Column("other", "absent")


class Table(ABC):
    """The table of one split."""

    columns: Mapping[str, Column]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def values(self, column: str) -> list[Any]:
        """All values of a label column."""

    @abstractmethod
    def images(self, column: str, numbers: Sequence[int]) -> list[Encoded]:
        """Rows of the image column, still encoded; `numbers` mostly ascend from call to call."""


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """Turn whatever a library raises about a source's contents into a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UserError(f"data.source {source} cannot be read as a dataset: {' '.join(lines[:3])}") from error


def read_tables(tables: Mapping[str, Table], config: DataConfig) -> RawDataset:
    """Rows of the splits asked for, images still encoded."""
    train, test = choose({name: (name, table) for name, table in tables.items()}, config)
    columns = train[1].columns
    image = find_image_column(columns, config)
    label = find_label_column(columns, config)
    chosen = [train, test] if test else [train]
    for name, table in chosen:
        for column in filter(None, (image, label)):
            ours, theirs = columns[column], table.columns.get(column, ABSENT)
            if not ours.agrees_with(theirs):
                types = f"{ours.type} in split '{train[0]}', but {theirs.type} in split '{name}'"
                if ours.type == theirs.type:
                    types = f"of other names in split '{train[0]}' than in split '{name}'"
                raise UserError(
                    f"column '{column}' of {config.source} is {types}; name splits that agree, or correct the files."
                )
    names: list[str] | None = None
    labels: list[np.ndarray | None] = [None] * len(chosen)
    if label:
        kinds = [table.columns[label] for _, table in chosen]
        known = next((column for column in kinds if column.kind != "nothing"), kinds[0])
        where = [f"column '{label}' of split '{name}' of {config.source}" for name, _ in chosen]
        values = [
            known_labels(table.values(label), known, place) for (_, table), place in zip(chosen, where, strict=True)
        ]
        names, position = numbering(known, values, where[0])
        labels = [numbered(of_split, position, place) for of_split, place in zip(values, where, strict=True)]
    rows = [
        Rows(name, range(len(table)), partial(table.images, image), of_split)
        for (name, table), of_split in zip(chosen, labels, strict=True)
    ]
    return RawDataset(rows[0], rows[1] if test else None, names or None)


def find_image_column(columns: Mapping[str, Column], config: DataConfig) -> str:
    named = named_column(columns, config, "image_column")
    if named:
        if columns[named].kind not in IMAGES:
            raise UserError(
                f"data.image_column '{named}' of {config.source} is {columns[named].type}; "
                f"name a column of images or of encoded bytes ({listed(columns)})."
            )
        return named
    images = [name for name, column in columns.items() if column.kind == "image"]
    if not images:
        candidates = [name for name, column in columns.items() if column.kind == "bytes"]
        remedy = f"set data.image_column={candidates[0]} if it holds encoded images" if candidates else "name another"
        raise UserError(f"{config.source} has no image column ({listed(columns)}); {remedy}.")
    if len(images) > 1:
        raise UserError(
            f"{config.source} has several image columns ({', '.join(images)}); "
            f"choose with data.image_column={images[0]}."
        )
    return images[0]


def find_label_column(columns: Mapping[str, Column], config: DataConfig) -> str | None:
    named = named_column(columns, config, "label_column")
    if named:
        if columns[named].kind not in LABELS:
            raise UserError(
                f"data.label_column '{named}' of {config.source} is {columns[named].type}; "
                f"name a column of classes, whole numbers, booleans or words ({listed(columns)})."
            )
        return named
    labels = [name for name, column in columns.items() if column.kind == "classes"]
    if len(labels) > 1:
        raise UserError(
            f"{config.source} has several label columns ({', '.join(labels)}); "
            f"choose with data.label_column={labels[0]}."
        )
    return labels[0] if labels else None


def named_column(columns: Mapping[str, Column], config: DataConfig, key: str) -> str | None:
    name = getattr(config, key)
    if name and name not in columns:
        raise UserError(
            f"data.{key} '{name}' is not in {config.source}{did_you_mean(name, columns)} ({listed(columns)})."
        )
    return name


def listed(columns: Mapping[str, Column]) -> str:
    return f"columns: {', '.join(f'{name}: {column.type}' for name, column in columns.items())}"


def known_labels(values: list[Any], column: Column, where: str) -> list[Label | None]:
    """The labels of a split, None where one is withheld: null, NaN, and -1 among numbers and classes.

    UserError for numbers that are not whole. Integers with nulls come as floats from pandas.
    """
    found: list[Label | None] = []
    for row, value in enumerate(values):
        if isinstance(value, float) and not math.isnan(value):
            if not value.is_integer():
                raise UserError(
                    f"row {row} of {where} holds {value}, and labels are whole numbers, booleans or words; name "
                    "another column in data.label_column, or write its classes as one of these."
                )
            value = int(value)
        is_withheld = value is None or value != value or (value == WITHHELD and column.kind in ("classes", "numbers"))
        found.append(None if is_withheld else value)
    return found


def numbering(column: Column, splits: list[list[Label | None]], where: str) -> tuple[list[str], dict[Label, int]]:
    """The names of the labels, and the position of each label that occurs in the splits."""
    if column.kind == "classes":
        if len(set(column.names)) < len(column.names):
            twice = next(name for name in column.names if column.names.count(name) > 1)
            raise UserError(f"{where} has two classes named '{twice}'; give each a name of its own.")
        by_name: dict[Label, int] = {name: label for label, name in enumerate(column.names)}
        return list(column.names), by_name | {label: label for label in range(len(column.names))}
    known = {label for labels in splits for label in labels if label is not None}
    ordered: list[Any] = class_order(map(str, known)) if column.kind == "words" else sorted(known)
    return list(map(str, ordered)), {value: label for label, value in enumerate(ordered)}


def numbered(labels: list[Label | None], position: dict[Label, int], where: str) -> np.ndarray | None:
    """int64 (N,); None for a split whose labels are all withheld. UserError where only some are, or are no class."""
    unknown = next((row for row, label in enumerate(labels) if label is not None and label not in position), None)
    if unknown is not None:
        raise UserError(
            f"row {unknown} of {where} has the label {labels[unknown]!r}, which is none of its "
            f"{len(set(position.values()))} classes; correct or remove such rows."
        )
    missing = [row for row, label in enumerate(labels) if label is None]
    if 0 < len(missing) < len(labels):
        raise UserError(
            f"{len(missing)} of {len(labels)} rows of {where} have no label (null, NaN or {WITHHELD}), row "
            f"{missing[0]} the first; fill in or remove such rows."
        )
    if missing:
        log.warning(
            "%s holds no label (null, NaN or %s in each row): the split is taken as unlabelled", where, WITHHELD
        )
        return None
    return np.array([position[label] for label in labels if label is not None], np.int64)


def encoded(cell: Any, folder: Path | None = None) -> Encoded:
    """A cell of an image column, or of one of plain bytes; the path of a file is taken relative to `folder`."""
    if isinstance(cell, dict):
        cell = cell.get("path") or None if cell.get("bytes") is None else cell["bytes"]
    return str(folder / cell) if folder is not None and isinstance(cell, str) else cell
