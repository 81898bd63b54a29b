"""Images on this machine: a Parquet file, a save_to_disk folder, an image folder, or a folder in the hub's layout."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from genlib.data.reading.base import ImageSource, LeftOut, RawDataset, kind_of, left_out
from genlib.data.reading.columns import read_tables
from genlib.data.reading.fingerprint import Listing, content_hash, kept, list_files, with_beside
from genlib.data.reading.image_files import has_image_suffix
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

TABLES = (".parquet", ".arrow")
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z")


class LocalSource(ImageSource):
    """A file or folder, identified by what is in it."""

    def __init__(self, path: Path, cache: Path, progress: bool) -> None:
        self.path, self.name = path, path.stem if path.is_file() else path.name
        self.cache = cache
        self.listing, self.named = content_of(path, cache)
        if not self.listing.files:
            raise UserError(f"data.source {path} is an empty folder; name one with images or Parquet files.")
        if path.is_file() and path.suffix != ".parquet":
            raise UserError(f"data.source {path} is a file, but not a .parquet file; name one, or a folder.")
        self.identity = {"files": content_hash(self.listing, cache, progress)}

    def check_unchanged(self) -> None:
        if content_of(self.path, self.cache)[0] != self.listing:
            raise UserError(f"data.source {self.path} changed while it was read; call again when it is complete.")

    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        if self.path.is_dir() and not config.subset and not holds_tables(self.listing, self.named):
            from genlib.data.reading.image_folder import image_folder

            return image_folder(self.listing, config)
        if config.folders:
            raise UserError(
                f"data.folders is '{config.folders}', but {self.path} is a table or in a layout that `datasets` reads; "
                "set data.folders=null."
            )
        return self.read_parquet(config) or self.read_layout(config, scratch)

    def read_parquet(self, config: DataConfig) -> RawDataset | None:
        """One Parquet file, or a folder of them with the hub's names and perhaps images; None for anything else."""
        from genlib.data.reading.parquet import is_parquet, parquet_tables

        if config.subset:
            return None
        tabled = {*self.named, *(file.name for file in self.listing.files if is_parquet(file))}
        unused = [name for name in self.listing.names if str(name) not in tabled]
        if not self.named and not all(map(has_image_suffix, unused)):
            return None
        tables = parquet_tables(self.listing, self.named)
        if not tables:
            return None
        beside = [left_out("files that no table names", unused, kind_of)] if unused else []
        return replace(read_tables(tables, config), left_out=beside)

    def read_layout(self, config: DataConfig, scratch: Path) -> RawDataset:
        """The splits that `datasets` finds in the folder."""
        if self.path.is_file():
            raise UserError(f"data.subset is '{config.subset}', but {self.path} has none; set data.subset=null.")
        from genlib.data.reading.tables import local_tables

        tables = local_tables(self.listing, config.subset, scratch)
        raw = read_tables(tables, config)
        images, rows = sum(map(has_image_suffix, self.listing.names)), sum(map(len, tables.values()))
        if images <= rows:
            return raw
        return replace(raw, left_out=[LeftOut("image files that are in no split", images - rows, {}, [])])


def content_of(path: Path, cache: Path) -> tuple[Listing, list[str]]:
    """The files of a source, and the images that its tables name, which are part of its content.

    UserError for files that cannot be read.
    """
    listing = list_files(path)
    if not any(file.name.endswith(".parquet") for file in listing.files):
        return listing, []

    def named() -> list[str]:
        from genlib.data.reading.parquet import named_images

        return named_images(listing)

    names = kept("named images", listing, cache, named)
    return with_beside(listing, names), names


def holds_tables(listing: Listing, named: list[str]) -> bool:
    """Whether a folder is in a layout that `datasets` defines, and not one of images in plain folders.

    It is if it holds Parquet or save_to_disk's files, archives, images with the hub's metadata files, or a README with
    `configs`. Fewer tables than images are files beside the images, unless they have the hub's names or name images.
    """
    from genlib.data.reading.parquet import SPLIT

    names = listing.names
    tables = [name for name in names if name.suffix.lower() in TABLES]
    images = sum(map(has_image_suffix, names))
    return (
        bool(tables and (len(tables) >= images or all(SPLIT.fullmatch(str(name)) for name in tables)))
        or bool(named)
        or (not images and any(name.suffix.lower() in ARCHIVES for name in names))
        or any(is_metadata(listing.root / name) for name in names if name.stem == "metadata")
        or configures_layout(listing.root / "README.md")
    )


def is_metadata(file: Path) -> bool:
    """Whether a file describes images as on the hub: a table with a column file_name, or *_file_name."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            columns = pq.read_schema(file).names
        elif file.suffix in (".csv", ".jsonl"):
            with file.open(newline="") as lines:
                first = next(lines, "")
            columns = next(csv.reader([first])) if file.suffix == ".csv" else list(json.loads(first))
        else:
            return False
    except (OSError, ValueError, TypeError, csv.Error, StopIteration):
        return False
    return any(str(column).endswith("file_name") for column in columns)


def configures_layout(readme: Path) -> bool:
    """Whether a dataset card lists `configs`."""
    try:
        header = re.match(r"---\s*\n(.*?)\n---", readme.read_text(errors="replace"), re.DOTALL)
        card = yaml.safe_load(header[1]) if header else None
    except (OSError, yaml.YAMLError):
        return False
    return isinstance(card, dict) and bool(card.get("configs"))
