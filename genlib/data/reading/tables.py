"""Sources that the `datasets` library reads: hub layouts of every kind, save_to_disk folders, and the hub itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from glob import has_magic
from pathlib import Path
from typing import Any

import datasets
from datasets.packaged_modules.parquet.parquet import Parquet

from genlib.data.reading.base import Encoded
from genlib.data.reading.columns import Column, Table, encoded, reading
from genlib.data.reading.fingerprint import Listing
from genlib.data.reading.parquet import ParquetTable
from genlib.errors import UserError


@contextmanager
def reading_datasets(source: str | Path) -> Iterator[None]:
    """The same as `reading`; the library's progress bars show on a terminal only, as ours do."""
    were_disabled = datasets.are_progress_bars_disabled()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        with reading(source):
            try:
                yield
            except datasets.exceptions.DatasetGenerationError as error:
                raise error.__cause__ or error from None  # its own message says nothing
    finally:
        if not were_disabled:
            datasets.enable_progress_bars()


def local_tables(listing: Listing, subset: str | None, scratch: Path) -> dict[str, Table]:
    """The splits of a local folder; one that has no splits is the split 'train'."""
    with reading_datasets(listing.root):
        if is_saved(listing.root) and not subset:
            found = datasets.load_from_disk(str(listing.root))
            splits = {"train": found} if isinstance(found, datasets.Dataset) else found
            return {str(name): DatasetTable(split, listing.root) for name, split in splits.items()}
        folder = literal_path(listing, scratch)
        builder = datasets.load_dataset_builder(str(folder), subset, cache_dir=str(scratch))
        if isinstance(builder, Parquet) and builder.info.features is None:
            # The builder only tells which file belongs to which split: the files are read without a copy.
            files = builder.config.data_files.items()
            return {str(split): ParquetTable(list(map(Path, of_split))) for split, of_split in files}
        return built_tables(builder, listing.root)


def literal_path(listing: Listing, scratch: Path) -> Path:
    """The folder, or one of links to its files: `datasets` takes a path with brackets for a pattern."""
    if not has_magic(str(listing.root)):
        return listing.root
    if has_magic(str(scratch)):
        raise UserError(
            f"data.source {listing.root} has a name with *, ? or [, and so has GENLIB_HOME ({scratch.parent}); rename "
            "one of them."
        )
    links = scratch / "links"
    for file in listing.files:
        link = links / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(listing.path(file))
    return links


def is_saved(path: Path) -> bool:
    """Whether the folder was written by save_to_disk."""
    return any((path / name).exists() for name in ("dataset_dict.json", "state.json"))


def built_tables(builder: datasets.DatasetBuilder, folder: Path | None = None) -> dict[str, Table]:
    """Every split, downloaded and converted; empty ones too, on which load_dataset fails."""
    builder.download_and_prepare()
    info = builder.info
    empty = datasets.Dataset.from_dict({name: [] for name in info.features}, info.features)
    return {
        name: DatasetTable(builder.as_dataset(name) if split.num_examples else empty, folder)
        for name, split in info.splits.items()
    }


class DatasetTable(Table):
    def __init__(self, dataset: datasets.Dataset, folder: Path | None) -> None:
        self.dataset, self.folder = dataset, folder
        self.columns = {name: column_of(feature) for name, feature in dataset.features.items()}

    def __len__(self) -> int:
        return len(self.dataset)

    def values(self, column: str) -> list[Any]:
        return self.dataset.select_columns([column])[:][column]

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
