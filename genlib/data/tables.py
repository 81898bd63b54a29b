"""Datasets that the `datasets` library reads: their image and label columns, found and turned into rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from genlib.config import DataConfig
from genlib.data.decode import Encoded
from genlib.data.sources import RawDataset, Rows, choose
from genlib.errors import UserError
from genlib.validation import did_you_mean

Tables = Mapping[str, datasets.Dataset]


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """Whatever `datasets` raises becomes one line; its progress bars show on a terminal only, like ours."""
    were_disabled = datasets.are_progress_bars_disabled()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        yield
    except Exception as error:
        built = isinstance(error, datasets.exceptions.DatasetGenerationError)
        cause = error.__cause__ if built and error.__cause__ else error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [type(cause).__name__]
        raise UserError(f"data.source {source} cannot be read as a dataset: {' '.join(lines[:3])}") from error
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()


def read_local(path: Path, subset: str | None, scratch: Path) -> Tables:
    """The splits of a local source; one that has no splits is the split 'train'."""
    saved = any((path / name).exists() for name in ("dataset_dict.json", "state.json"))
    if subset and (saved or path.is_file()):
        raise UserError(f"data.subset is '{subset}', but {path} has no subsets; set data.subset=null.")
    with reading(path):
        if saved:
            found = datasets.load_from_disk(str(path))
            return {"train": found} if isinstance(found, datasets.Dataset) else found
        if path.is_file():
            files = {"train": str(path)}
            return built(datasets.load_dataset_builder("parquet", data_files=files, cache_dir=str(scratch)))
        return built(datasets.load_dataset_builder(str(path), subset, cache_dir=str(scratch)))


def built(builder: datasets.DatasetBuilder) -> Tables:
    """Every split, downloaded and converted; empty ones too, which load_dataset stumbles over."""
    builder.download_and_prepare()
    info = builder.info
    empty = datasets.Dataset.from_dict({name: [] for name in info.features}, info.features)
    return {name: builder.as_dataset(name) if split.num_examples else empty for name, split in info.splits.items()}


def read_tables(tables: Tables, config: DataConfig) -> RawDataset:
    """Rows of the splits asked for, images still encoded."""
    train, test = choose({name: (name, table) for name, table in tables.items()}, config)
    chosen = [train, test] if test else [train]
    image_column = find_image_column(train[1], config)
    label_column = find_label_column(train[1], config)
    for name, table in chosen:
        for column in (image_column, label_column):
            if column and table.features.get(column) != train[1].features[column]:
                raise UserError(
                    f"column '{column}' of split '{name}' of {config.source} is {table.features.get(column)}, "
                    f"not {train[1].features[column]} as in '{train[0]}'; name splits that are alike."
                )
    labels: list[np.ndarray | None] = [None] * len(chosen)
    label_names = None
    if label_column:
        values = [table.select_columns([label_column])[:][label_column] for _, table in chosen]
        label_names, position = numbering(train[1].features[label_column], values)
        labels = [
            numbered(column, position, f"split '{name}' of {config.source}")
            for (name, _), column in zip(chosen, values, strict=True)
        ]
    rows = [
        Rows(name, range(len(table)), partial(read_images, encoded(table, image_column), image_column), of_split)
        for (name, table), of_split in zip(chosen, labels, strict=True)
    ]
    return RawDataset(rows[0], rows[1] if test else None, label_names)


def find_image_column(table: datasets.Dataset, config: DataConfig) -> str:
    named = named_column(table, config, "image_column")
    if named:
        if not (isinstance(table.features[named], datasets.Image) or holds_bytes(table.features[named])):
            raise UserError(
                f"data.image_column '{named}' of {config.source} is {table.features[named]}; "
                f"name a column of images or of encoded bytes ({described(table)})."
            )
        return named
    images = [name for name, feature in table.features.items() if isinstance(feature, datasets.Image)]
    if not images:
        candidates = [name for name, feature in table.features.items() if holds_bytes(feature)]
        remedy = f"set data.image_column={candidates[0]} if it holds encoded images" if candidates else "name another"
        raise UserError(f"{config.source} has no image column ({described(table)}); {remedy}.")
    if len(images) > 1:
        raise UserError(
            f"{config.source} has several image columns ({', '.join(images)}); "
            f"choose with data.image_column={images[0]}."
        )
    return images[0]


def find_label_column(table: datasets.Dataset, config: DataConfig) -> str | None:
    named = named_column(table, config, "label_column")
    if named:
        feature = table.features[named]
        if not isinstance(feature, datasets.ClassLabel) and not is_countable(feature):
            raise UserError(
                f"data.label_column '{named}' of {config.source} is {feature}; "
                f"name a column of classes, whole numbers or words ({described(table)})."
            )
        return named
    labels = [name for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)]
    if len(labels) > 1:
        raise UserError(
            f"{config.source} has several label columns ({', '.join(labels)}); "
            f"choose with data.label_column={labels[0]}."
        )
    return labels[0] if labels else None


def named_column(table: datasets.Dataset, config: DataConfig, key: str) -> str | None:
    name = getattr(config, key)
    if name and name not in table.features:
        guess = did_you_mean(name, table.features)
        raise UserError(f"data.{key} '{name}' is not in {config.source}{guess} ({described(table)}).")
    return name


def described(table: datasets.Dataset) -> str:
    kinds = [f"{name}: {getattr(feature, 'dtype', feature)}" for name, feature in table.features.items()]
    return f"columns: {', '.join(kinds)}"


def holds_bytes(feature: Any) -> bool:
    """Encoded images without the type Image, as other Parquet writers make them."""
    inner = feature.get("bytes") if isinstance(feature, dict) else feature
    return isinstance(inner, datasets.Value) and "binary" in inner.dtype


def is_countable(feature: Any) -> bool:
    return isinstance(feature, datasets.Value) and any(kind in feature.dtype for kind in ("int", "string", "bool"))


def numbering(feature: Any, values: list[list[Any]]) -> tuple[list[str], dict[Any, int]]:
    """The names of the labels, and the position of each value that a label column may hold."""
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names), {label: label for label in range(feature.num_classes)}
    known = sorted({value for column in values for value in column if value is not None})
    return [str(value) for value in known], {value: label for label, value in enumerate(known)}


def numbered(values: list[Any], position: dict[Any, int], where: str) -> np.ndarray | None:
    """int64 (N,); None for a split whose labels are withheld (-1 or null, as in some test splits)."""
    labels = np.array([position.get(value, -1) for value in values], np.int64)
    missing = np.flatnonzero(labels < 0)
    if 0 < len(missing) < len(labels):
        raise UserError(f"row {missing[0]} of {where} has no label ({values[missing[0]]!r}); mend or remove such rows.")
    return None if len(missing) else labels


def encoded(table: datasets.Dataset, column: str) -> datasets.Dataset:
    """The image column alone, undecoded: the workers decode."""
    return table.select_columns([column]).cast_column(column, datasets.Image(decode=False))


def read_images(table: datasets.Dataset, column: str, numbers: Any) -> list[Encoded]:
    cells = table[numbers][column]
    return [None if cell is None else cell["path"] if cell["bytes"] is None else cell["bytes"] for cell in cells]
