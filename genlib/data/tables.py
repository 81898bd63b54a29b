"""Sources that the `datasets` library reads: hub layouts of every kind, save_to_disk folders, and the hub itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.parquet.parquet import Parquet

from genlib.data.classes import class_order
from genlib.data.columns import Column, Table, encoded, reading
from genlib.data.decode import Encoded
from genlib.data.parquet import ParquetTable


@contextmanager
def reading_datasets(source: str | Path) -> Iterator[None]:
    """Like reading; and the library's progress bars show on a terminal only, like ours."""
    were_disabled = datasets.are_progress_bars_disabled()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        with reading(source):
            try:
                yield
            except datasets.exceptions.DatasetGenerationError as error:
                raise error.__cause__ or error from None  # it says nothing itself
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()


def local_tables(path: Path, subset: str | None, scratch: Path) -> dict[str, Table]:
    """The splits of a local folder; one that has no splits is the split 'train'."""
    with reading_datasets(path):
        if is_saved(path) and not subset:
            found = datasets.load_from_disk(str(path))
            splits = {"train": found} if isinstance(found, datasets.Dataset) else found
            return {str(name): DatasetTable(split, path) for name, split in splits.items()}
        builder = datasets.load_dataset_builder(str(path), subset, cache_dir=str(scratch))
        if isinstance(builder, Parquet) and builder.info.features is None:
            # Only which file belongs to which split is asked: what is in the files is read without a copy.
            files = builder.config.data_files.items()
            return {str(split): ParquetTable(list(map(Path, of_split))) for split, of_split in files}
        return built_tables(builder, path)


def is_saved(path: Path) -> bool:
    """Whether save_to_disk made it."""
    return any((path / name).exists() for name in ("dataset_dict.json", "state.json"))


def built_tables(builder: datasets.DatasetBuilder, folder: Path | None = None) -> dict[str, Table]:
    """Every split, downloaded and converted; empty ones too, which load_dataset stumbles over.

    Classes that are folders come in our order of names, where `datasets` has that of text.
    """
    builder.download_and_prepare()
    reorder = isinstance(builder, ImageFolder)
    info = builder.info
    empty = datasets.Dataset.from_dict({name: [] for name in info.features}, info.features)
    return {
        name: DatasetTable(builder.as_dataset(name) if split.num_examples else empty, folder, reorder)
        for name, split in info.splits.items()
    }


class DatasetTable(Table):
    """A split as `datasets` has it; relative paths of images are taken from `folder`."""

    def __init__(self, dataset: datasets.Dataset, folder: Path | None, reorder: bool = False) -> None:
        self.dataset, self.folder = dataset, folder
        self.columns = {name: column_of(feature) for name, feature in dataset.features.items()}
        if reorder:
            self.columns = {
                name: replace(column, names=tuple(class_order(column.names))) for name, column in self.columns.items()
            }

    def __len__(self) -> int:
        return len(self.dataset)

    def values(self, column: str) -> list[Any]:
        values = list(self.dataset.select_columns([column])[:][column])
        feature = self.dataset.features[column]
        if not isinstance(feature, datasets.ClassLabel) or self.columns[column].names == tuple(feature.names):
            return values
        return [value if value is None or value < 0 else str(feature.names[value]) for value in values]

    def images(self, column: str, numbers: Sequence[int]) -> list[Encoded]:
        images = self.dataset.select_columns([column])
        if self.columns[column].kind == "image":
            images = images.cast_column(column, datasets.Image(decode=False))
        return [encoded(cell, self.folder) for cell in images[numbers][column]]


def column_of(feature: Any) -> Column:
    kind = str(getattr(feature, "dtype", feature))
    if isinstance(feature, datasets.Image):
        return Column("image", "Image")
    if isinstance(feature, datasets.ClassLabel):
        return Column("classes", "ClassLabel", tuple(map(str, feature.names)))
    inner = feature.get("bytes") if isinstance(feature, dict) else feature
    if isinstance(inner, datasets.Value) and "binary" in inner.dtype:
        return Column("bytes", kind)
    if not isinstance(feature, datasets.Value):
        return Column("other", kind)
    if re.fullmatch(r"u?int\d+|float\d+", kind):
        return Column("numbers", kind)
    if kind in ("string", "large_string", "string_view"):
        return Column("words", kind)
    return Column("booleans" if kind == "bool" else "nothing" if kind == "null" else "other", kind)
