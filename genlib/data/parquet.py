"""Parquet files in the hub's layout, read where they lie: `datasets` would copy them first, and takes long to load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from genlib.data.columns import Column, Table, encoded, reading
from genlib.data.decode import Encoded
from genlib.data.fingerprint import Listing

SPLIT = re.compile(r"(?:data/)?(train|test|validation)(?:-\d+-of-\d+)?\.parquet")
READ_ROWS = 64


def parquet_tables(listing: Listing) -> dict[str, Table] | None:
    """The splits of one Parquet file or of a folder of nothing else; None where only `datasets` knows the rules."""
    if listing.root.is_file():
        return {"train": ParquetTable([listing.root])}
    splits: dict[str, list[Path]] = {}
    for file in listing.files:
        name = SPLIT.fullmatch(file.name)
        if not name:
            return None
        splits.setdefault(name[1], []).append(listing.path(file))
    return {split: ParquetTable(files) for split, files in splits.items()}


class ParquetTable(Table):
    """One split's files, in the order of their names."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        with reading(files[0].parent):
            self.length = sum(pq.read_metadata(file).num_rows for file in files)
            self.columns = columns_of(pq.read_schema(files[0]))
        self._cells: Iterator[Encoded] = iter(())  # of the image column, from row _next on
        self._next = self.length

    def __len__(self) -> int:
        return self.length

    def values(self, column: str) -> list[Any]:
        with reading(self.files[0].parent):
            return [cell for batch in self._batches(column) for cell in batch.to_pylist()]

    def images(self, column: str, numbers: Sequence[int]) -> list[Encoded]:
        """Reads on from the last call, and again from the first row only where the numbers go back."""
        if numbers and numbers[0] < self._next:
            self._cells = (encoded(cell) for batch in self._batches(column) for cell in batch.to_pylist())
            self._next = 0
        found = []
        with reading(self.files[0].parent):
            for number in numbers:
                found.append(next(islice(self._cells, number - self._next, None)))
                self._next = number + 1
        return found

    def _batches(self, column: str) -> Iterator[pa.Array]:
        for file in self.files:
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(READ_ROWS, columns=[column]):
                    yield batch.column(0)


def columns_of(schema: pa.Schema) -> dict[str, Column]:
    """By the types that `datasets` notes in the schema's metadata, or else by Arrow's."""
    notes = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = notes.get("info", {}).get("features", {})
    return {field.name: column_of(field.type, features.get(field.name, {})) for field in schema}


def column_of(arrow: pa.DataType, feature: Any) -> Column:
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Image":
        return Column("image", "Image")
    if kind == "ClassLabel":
        names = feature.get("names") or map(str, range(feature["num_classes"]))
        return Column("classes", "ClassLabel", tuple(names))
    has_bytes = pa.types.is_struct(arrow) and arrow.get_field_index("bytes") >= 0
    inner = arrow.field("bytes").type if has_bytes else arrow
    if pa.types.is_binary(inner) or pa.types.is_large_binary(inner):
        return Column("bytes", str(arrow))
    countable = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string)
    return Column("countable" if any(is_kind(arrow) for is_kind in countable) else "other", str(arrow))
