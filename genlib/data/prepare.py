"""From a configuration's data section to a finished dataset folder: made once, found ever after."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from genlib.capacity import free_memory, refuse_beyond_disk, refuse_beyond_memory
from genlib.config import DataConfig
from genlib.config.data import BUILT_IN
from genlib.data.folder import MANIFEST, DatasetFolder, open_dataset
from genlib.data.hub import HubSource, Unreachable, find_in_cache, resolve_commit
from genlib.data.local import LocalSource
from genlib.data.sources import Digits, ImageSource
from genlib.errors import UserError
from genlib.files import read_json, rename_into_place, sha256_of_json
from genlib.home import data_folder

if TYPE_CHECKING:
    from genlib.data.points import PointSource

log = logging.getLogger(__name__)
FORMAT = 1  # raise it when the same request must give other arrays
OF_POINTS = {"points", "train_split", "test_split", "test_fraction"}  # settings that mean something for points


def prepare(config: DataConfig, progress: bool = True) -> DatasetFolder:
    """The dataset folder that `config` asks for, made if it is not there.

    It is named <source>-<first 12 hex digits of the request's hash>. Two calls at once make it once; a call that ends
    early leaves nothing under that name. `progress` shows bars, on a terminal. UserError says what to mend.
    """
    home = data_folder()
    try:
        source = find_source(config, home / ".fingerprints", progress)
    except Unreachable as error:
        finished = newest_of_same_request(config, home)
        if finished:
            log.warning("hub out of reach (%s): using %s of %s", error, finished.path, finished.manifest.created)
            return finished
        source = find_in_cache(config, error)
    final = home / f"{safe(source.name)}-{request_hash(config, source)[:12]}"
    if final.exists():
        return open_dataset(final)
    with FileLock(final.with_name(f".{final.name}.lock")):
        if not final.exists():  # else made by the call that had the lock before
            make(config, source, final, progress)
    return open_dataset(final)


def make(config: DataConfig, source: ImageSource | PointSource, final: Path, progress: bool) -> None:
    from genlib.data.build import build

    refuse_beyond_room(config, final.parent)
    partial = final.with_name(f".{final.name}.partial")
    scratch = final.with_name(f".{final.name}.scratch")
    folders = (partial, scratch)
    remove(folders)  # what a killed call left; the lock is ours
    try:
        for folder in folders:
            folder.mkdir()
        build(config, source, partial, scratch, progress)
        source.check_unchanged()
        rename_into_place(partial, final)
    finally:
        remove(folders)


def refuse_beyond_room(config: DataConfig, folder: Path) -> None:
    """UserError where what is made of the source needs more disk than is free, or far more memory."""
    if config.is_points:
        rows, bytes_each = config.points * 6 // 5, 8 + 8  # float32 (2,), int64
        refuse_beyond_memory(
            {"points": rows * (bytes_each + 16)}, free_memory(), f"lower data.points ({config.points})"
        )
        refuse_beyond_disk(f"{rows:,} points", rows * bytes_each, folder, f"lower data.points ({config.points})")
    for key, channels in (("stacked", 3), ("scenes", config.channels)):
        rows = 0 if config.is_points else getattr(config, key) or 0
        need = rows * channels * config.image_size**2
        refuse_beyond_disk(f"{rows:,} images", need, folder, f"lower data.{key} ({rows})")


def remove(folders: tuple[Path, ...]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def find_source(config: DataConfig, cache: Path, progress: bool) -> ImageSource | PointSource:
    """UserError if there is no such source; Unreachable if only the hub could tell."""
    path = Path(config.source).expanduser()
    built_in = config.source in BUILT_IN
    is_local = not built_in and path.exists()
    for key in ("revision", "subset"):
        value = getattr(config, key)
        if value and (built_in or (is_local and key == "revision")):
            raise UserError(f"data.{key} is '{value}', but {config.source} has none; set data.{key}=null.")
    if config.source == "digits":
        return Digits()
    if config.is_points:
        from genlib.data.points import PointSource

        return PointSource(config.source)
    if is_local:
        return LocalSource(path.resolve(), cache, progress)
    if re.match(r"[/.~]", config.source) or config.source.count("/") > 1 or path.suffix == ".parquet":
        raise UserError(
            f"data.source {config.source} does not exist; name a file or folder that does, a hub dataset such as "
            f"ylecun/mnist, or {', '.join(BUILT_IN)}."
        )
    return HubSource(config.source, resolve_commit(config))


def request_hash(config: DataConfig, source: ImageSource | PointSource) -> str:
    """Equal for equal settings and equal content, under whatever path or revision it was named."""
    if config.is_points:
        settings = config.model_dump(mode="json", include=OF_POINTS)
    else:
        # What came later and is not asked for leaves the names of older folders as they are.
        later = set() if config.scenes else {"scenes"}
        settings = config.model_dump(mode="json", exclude={"source", "revision", "points", *later})
    return sha256_of_json({"format": FORMAT, "settings": settings, "source": source.identity})


def newest_of_same_request(config: DataConfig, home: Path) -> DatasetFolder | None:
    """The folder made last for the same settings, whatever the source was then."""
    request = config.model_dump(mode="json")
    manifests = {file.parent: read_json(file) for file in home.glob(f"[!.]*/{MANIFEST}")}
    same = [folder for folder, manifest in manifests.items() if {"scenes": None, **manifest["request"]} == request]
    return open_dataset(max(same, key=lambda folder: manifests[folder]["created"])) if same else None


def safe(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:64].lstrip(".") or "data"
