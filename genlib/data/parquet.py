"""Parquet files in the hub's layout, read where they lie: `datasets` would copy them first, and takes long to load."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
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
        self._column = ""
        self._start = 0  # row number of the first of _cells
        self._cells: list[Encoded] = []

    def __len__(self) -> int:
        return self.length

    def values(self, column: str) -> list[Any]:
        with reading(self.files[0].parent):
            return [value for file in self.files for value in pq.read_table(file, columns=[column])[column].to_pylist()]
