"""Tables of a source, whoever reads them: which column holds the images and which the labels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from genlib.config import DataConfig
from genlib.data.sources import RawDataset, Rows, choose
from genlib.errors import UserError
from genlib.validation import did_you_mean

if TYPE_CHECKING:
    from genlib.data.decode import Encoded


@dataclass(frozen=True)
class Column:
    kind: Literal["image", "bytes", "classes", "countable", "other"]  # bytes: perhaps encoded images, of no such type
    type: str  # as its reader calls it
    names: tuple[str, ...] = ()  # of classes


class Table(ABC):
    """One split."""

    columns: Mapping[str, Column]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def values(self, column: str) -> list[Any]:
        """A label column, whole."""

    @abstractmethod
    def images(self, column: str, numbers: Sequence[int]) -> list[Encoded]:
        """Rows of the image column, still encoded; `numbers` ascend from call to call, mostly."""


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """What a library raises about a source's contents becomes one line."""
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
            if table.columns.get(column) != columns[column]:
                raise UserError(
                    f"column '{column}' of {config.source} differs between its splits '{train[0]}' and '{name}'; "
                    "name splits that are alike."
                )
    values = [table.values(label) if label else [] for _, table in chosen]
    names, position = numbering(columns[label], values) if label else (None, {})
    rows = [
        Rows(
            name,
            range(len(table)),
            partial(table.images, image),
            numbered(of_split, position, f"split '{name}' of {config.source}") if label else None,
        )
        for (name, table), of_split in zip(chosen, values, strict=True)
    ]
    return RawDataset(rows[0], rows[1] if test else None, names)


def find_image_column(columns: Mapping[str, Column], config: DataConfig) -> str:
    named = named_column(columns, config, "image_column")
    if named:
        if columns[named].kind not in ("image", "bytes"):
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
        if columns[named].kind not in ("classes", "countable"):
            raise UserError(
                f"data.label_column '{named}' of {config.source} is {columns[named].type}; "
                f"name a column of classes, whole numbers or words ({listed(columns)})."
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


def numbering(column: Column, values: list[list[Any]]) -> tuple[list[str], dict[Any, int]]:
    """The names of the labels, and the position of each value that a label column may hold."""
    if column.kind == "classes":
        return list(column.names), {label: label for label in range(len(column.names))}
    known = sorted({value for of_split in values for value in of_split if value is not None})
    return [str(value) for value in known], {value: label for label, value in enumerate(known)}


def numbered(values: list[Any], position: dict[Any, int], where: str) -> np.ndarray | None:
    """int64 (N,); None for a split whose labels are withheld (-1 or null, as in some test splits)."""
    labels = np.array([position.get(value, -1) for value in values], np.int64)
    missing = np.flatnonzero(labels < 0)
    if 0 < len(missing) < len(labels):
        raise UserError(f"row {missing[0]} of {where} has no label ({values[missing[0]]!r}); mend or remove such rows.")
    return None if len(missing) else labels


def encoded(cell: Any) -> Encoded:
    """A cell of an image column, or of one of plain bytes."""
    if not isinstance(cell, dict):
        return cell
    return cell.get("path") if cell.get("bytes") is None else cell["bytes"]
