"""Parquet files in the hub's layout, read where they lie: `datasets` would copy them first, and takes long to load."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genlib.data.reading.base import Encoded
from genlib.data.reading.columns import ABSENT, IMAGES, Column, Kind, Table, encoded, reading
from genlib.data.reading.fingerprint import FileState, Listing
from genlib.errors import UserError

SPLIT = re.compile(r"(?:data/)?(train|test|validation)(?:-\d+-of-\d+)?\.parquet")
READ_ROWS = 64
BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
TYPES: dict[Kind, tuple[Callable[[pa.DataType], bool], ...]] = {
    "numbers": (pa.types.is_integer, pa.types.is_floating),
    "booleans": (pa.types.is_boolean,),
    "words": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "nothing": (pa.types.is_null,),
}


def parquet_tables(listing: Listing, named: Collection[str]) -> dict[str, Table] | None:
    """The splits of one Parquet file or of a folder of such files; `named` are the images that their cells name.

    Returns None for a layout that only `datasets` can tell. UserError where a file's split is not clear.
    """
    if listing.root.is_file():
        return {"train": ParquetTable([listing.root])}
    splits: dict[str, list[Path]] = {}
    for file in filter(is_parquet, listing.files):
        name = SPLIT.fullmatch(file.name)
        if not name:
            if named:
                raise UserError(
                    f"data.source {listing.root} has Parquet files that name images, and {file.name} does not say of "
                    "which split; call it train.parquet, test.parquet or validation.parquet, or name one file alone."
                )
            return None
        splits.setdefault(name[1], []).append(listing.path(file))
    return {split: ParquetTable(files) for split, files in splits.items()}


def is_parquet(file: FileState) -> bool:
    return file.name.endswith(".parquet")


def named_images(listing: Listing) -> list[str]:
    """The files that cells without bytes name in the image columns of a source's tables, relative to its folder."""
    named = {image for file in filter(is_parquet, listing.files) for image in named_in(listing.path(file))}
    return sorted(os.path.relpath(image, listing.folder) for image in named)


def named_in(file: Path) -> set[Path]:
    """The files that image cells name, relative to the table's folder: {bytes: null, path: ...}, or text alone."""
    found: set[str | None] = set()
    with reading(file), pq.ParquetFile(file) as table:
        groups = range(table.metadata.num_row_groups)
        for name, column in columns_of(table.schema_arrow).items():
            arrow = table.schema_arrow.field(name).type
            is_text = any(is_type(arrow) for is_type in TYPES["words"])
            has_path = pa.types.is_struct(arrow) and arrow.get_field_index("path") >= 0
            if column.kind not in IMAGES or not (is_text or has_path):
                continue
            leaf = name if is_text else f"{name}.path"
            to_read = [
                group for group in groups if is_text or may_hold_nulls(table.metadata.row_group(group), f"{name}.bytes")
            ]
            if to_read:  # an empty list would mean all of them
                for batch in table.iter_batches(columns=[leaf], row_groups=to_read):
                    cells = batch.column(0).to_pylist()
                    found.update(cell["path"] if isinstance(cell, dict) else cell for cell in cells)
    return {Path(os.path.normpath(file.parent / path)) for path in found if path}


def may_hold_nulls(group: pq.RowGroupMetaData, leaf: str) -> bool:
    """Whether a column of a row group has nulls by its statistics, or has no statistics."""
    leaves = [group.column(index) for index in range(group.num_columns)]
    statistics = next((column.statistics for column in leaves if column.path_in_schema == leaf), None)
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


class ParquetTable(Table):
    """The files of one split, read in the order of their names."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.length = 0
        of_files: dict[Path, dict[str, Column]] = {}
        for file in files:
            with reading(file), pq.ParquetFile(file) as opened:
                self.length += opened.metadata.num_rows
                of_files[file] = columns_of(opened.schema_arrow)
        self.columns = common_columns(of_files)
        self._cells: Iterator[Encoded] = iter(())  # the image column from row _next on
        self._next = self.length

    def __len__(self) -> int:
        return self.length

    def values(self, column: str) -> list[Any]:
        return [cell for _, batch in self._batches(column) for cell in batch]

    def images(self, column: str, numbers: Sequence[int]) -> list[Encoded]:
        """Reads on from the last call, and again from the first row only where the numbers go back."""
        if numbers and numbers[0] < self._next:
            self._cells = (encoded(cell, file.parent) for file, batch in self._batches(column) for cell in batch)
            self._next = 0
        found = []
        for number in numbers:
            found.append(next(islice(self._cells, number - self._next, None)))
            self._next = number + 1
        return found

    def _batches(self, column: str) -> Iterator[tuple[Path, list[Any]]]:
        """Some cells at a time, with their file; UserError, with its name, for a damaged file."""
        for file in self.files:
            with reading(file), pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(READ_ROWS, columns=[column]):
                    yield file, batch.column(0).to_pylist()


def common_columns(of_files: Mapping[Path, Mapping[str, Column]]) -> dict[str, Column]:
    """The columns of a split's files. UserError where the images or classes of one file are not those of the others.

    Another column that differs cannot be read; its type says which files differ.
    """
    common: dict[str, Column] = {}
    for name in dict.fromkeys(name for columns in of_files.values() for name in columns):
        columns = {file: columns.get(name, ABSENT) for file, columns in of_files.items()}
        known = next((column for column in columns.values() if column.kind != "nothing"), columns[next(iter(columns))])
        other = next((file for file, column in columns.items() if not known.agrees_with(column)), None)
        if other is None:
            common[name] = known
            continue
        first = next(file for file, column in columns.items() if column is known)
        types = f"{known.type} in {first}, {columns[other].type} in {other}"
        if {known.kind, columns[other].kind} & {"image", "classes"}:
            if known.type == columns[other].type:
                types = f"of other names in {first} than in {other}"
            raise UserError(f"the Parquet files of one split differ: column '{name}' is {types}; make them alike.")
        common[name] = Column("other", types)
    return common


def columns_of(schema: pa.Schema) -> dict[str, Column]:
    """The columns by the types that `datasets` notes in the schema's metadata, or else by Arrow's."""
    notes = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = notes.get("info", {}).get("features", {})
    return {field.name: column_of(field.type, features.get(field.name, {})) for field in schema}


def column_of(arrow: pa.DataType, feature: Any) -> Column:
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Image":
        return Column("image", "Image")
    if kind == "ClassLabel":
        names = feature.get("names") or range(feature["num_classes"])
        return Column("classes", "ClassLabel", tuple(map(str, names)))
    has_bytes = pa.types.is_struct(arrow) and arrow.get_field_index("bytes") >= 0
    inner = arrow.field("bytes").type if has_bytes else arrow
    if any(is_type(inner) for is_type in BINARY):
        return Column("bytes", str(arrow))
    value = arrow.value_type if pa.types.is_dictionary(arrow) else arrow  # pandas' category
    for of_kind, tests in TYPES.items():
        if any(is_type(value) for is_type in tests):
            return Column(of_kind, str(arrow))
    return Column("other", str(arrow))
