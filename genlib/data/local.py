"""Images on this machine: a Parquet file, a save_to_disk folder, an image folder, or a folder in the hub's layout."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np

from genlib.config import DataConfig
from genlib.data.classes import class_order
from genlib.data.columns import Table, read_tables
from genlib.data.fingerprint import Listing, content_hash, list_files, remembered, with_beside
from genlib.data.sources import ImageSource, RawDataset, Rows, choose
from genlib.errors import UserError

IMAGE_SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2"),
    *(".pgm", ".ppm", ".pbm", ".pnm"),
}
# Beside images, these may say which of them belong where: the hub's layout, which `datasets` reads.
LAYOUT_SUFFIXES = {".parquet", ".arrow", ".csv", ".json", ".jsonl", ".md", ".tar", ".zip"}


class LocalSource(ImageSource):
    """A file or folder, identified by what is in it."""

    def __init__(self, path: Path, cache: Path, progress: bool) -> None:
        self.path, self.name = path, path.stem if path.is_file() else path.name
        self.cache, self.listing = cache, content_of(path, cache)
        if not self.listing.files:
            raise UserError(f"data.source {path} is an empty folder; name one with images or Parquet files.")
        if path.is_file() and path.suffix != ".parquet":
            raise UserError(f"data.source {path} is a file, but not a .parquet file; name one, or a folder.")
        self.identity = {"files": content_hash(self.listing, cache, progress)}
        folders = {PurePosixPath(file.name).parent.name for file in self.listing.files} - {""}
        if sorted(folders) != class_order(folders):  # an earlier version numbered such classes as text
            self.identity["class_order"] = "numbers"

    def check_unchanged(self) -> None:
        if content_of(self.path, self.cache) != self.listing:
            raise UserError(f"data.source {self.path} changed while it was read; call again when it is complete.")

    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        folder = image_folder(self.listing, config)
        return folder or read_tables(self.tables(config, scratch), config)

    def tables(self, config: DataConfig, scratch: Path) -> dict[str, Table]:
        from genlib.data.parquet import parquet_tables

        if not config.subset:
            tables = parquet_tables(self.listing)
            if tables:
                return tables
        elif self.path.is_file():
            raise UserError(f"data.subset is '{config.subset}', but {self.path} has none; set data.subset=null.")
        from genlib.data.tables import local_tables

        return local_tables(self.path, config.subset, scratch)


def content_of(path: Path, cache: Path) -> Listing:
    """The files of a source, and those that its tables name; UserError for what cannot be read."""
    listing = list_files(path)
    tables = [file for file in listing.files if file.name.endswith(".parquet")]
    if not tables:
        return listing

    def named() -> str:
        from genlib.data.parquet import named_images

        return json.dumps(sorted(map(str, named_images(listing))))

    images = json.loads(remembered(cache, ["images named by", str(path), tables], tables, named))
    return with_beside(listing, map(Path, images))


def image_folder(listing: Listing, config: DataConfig) -> RawDataset | None:
    """[split/][class/]image.png, read from the names alone; None for any other layout.

    The top folders are splits if one is called like the train split; otherwise everything is the split 'train'. (The
    imagefolder reader of `datasets` knows more layouts, and takes a minute for 50,000 files.)
    """
    if config.subset or config.image_column not in (None, "image") or config.label_column not in (None, "label"):
        return None
    names = [PurePosixPath(file.name) for file in listing.files]
    if any(name.suffix.lower() in LAYOUT_SUFFIXES for name in names):
        return None
    images = [name for name in names if name.suffix.lower() in IMAGE_SUFFIXES]
    nested = any(len(image.parts) > 1 and image.parts[0] == config.train_split for image in images)
    depths = {len(image.parts) - 1 - nested for image in images}
    if depths not in ({0}, {1}) or (config.label_column and depths == {0}):
        return None
    splits: dict[str, list[PurePosixPath]] = {}
    for image in images:
        splits.setdefault(image.parts[0] if nested else "train", []).append(image)
    train, test = choose({name: (name, members) for name, members in splits.items()}, config)
    label_names = class_order(image.parent.name for _, members in (train, test or train) for image in members)
    label_of = {name: label for label, name in enumerate(label_names)} if depths == {1} else None

    def rows(split: tuple[str, list[PurePosixPath]]) -> Rows:
        name, members = split
        files = [str(listing.root / image) for image in members]
        labels = np.array([label_of[image.parent.name] for image in members], np.int64) if label_of else None
        return Rows(name, range(len(files)), lambda numbers: [files[number] for number in numbers], labels)

    return RawDataset(rows(train), test and rows(test), label_names if label_of else None)
