"""The finished dataset folder of a configuration's data section: made by the first call, found by later ones."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from genlib.data.config import DataConfig
from genlib.data.folder import MANIFEST, DatasetFolder, open_dataset
from genlib.data.reading.base import ImageSource, OpenSource, Unreachable
from genlib.data.sources import KEYS, Remote, Source, source_of
from genlib.errors import UserError
from genlib.runtime.capacity import free_memory, refuse_beyond_disk, refuse_beyond_memory
from genlib.storage.files import sha256_of_json, whole_folder
from genlib.storage.home import data_folder

if TYPE_CHECKING:
    from genlib.data.reading.points import PointSource

log = logging.getLogger(__name__)
FORMAT = 2  # raise it when the same request must give other arrays
LATER = ("scenes", "folders", "max_pixels")  # settings that did not exist when earlier folders were made
POINT_SETTINGS = {"points", "train_split", "test_split", "test_fraction"}  # the others are ignored for points


def prepare(config: DataConfig, progress: bool = True, warn: Callable[[str], object] | None = None) -> DatasetFolder:
    """The dataset folder that `config` asks for, made where it does not exist.

    It is named <source>-<first 12 hex digits of the request's hash>. Two calls at once make it once; a call that ends
    early leaves nothing under that name. `progress` shows bars, on a terminal. `warn` is called with each warning of
    the manifest (what was left out, images that are all the same); without it these are logged, but only by the call
    that makes the folder. UserError for a source that is not there or cannot be read as asked.
    """
    folder, made = found_or_made(config, progress)
    if warn or made:
        for sentence in folder.manifest.warnings or ():
            (warn or log.warning)(sentence)
    return folder


def found_or_made(config: DataConfig, progress: bool) -> tuple[DatasetFolder, bool]:
    """The dataset folder, and whether this call made it."""
    home = data_folder()
    named = source_asked_for(config)
    source: ImageSource | PointSource
    try:
        source = named.open(config, home / ".fingerprints", progress)
    except Unreachable as error:
        if not named.remote:
            raise
        finished = newest_of_same_request(config, home, named.remote)
        if finished:
            log.warning("hub out of reach (%s): using %s of %s", error, finished.path, finished.manifest.created)
            return finished, False
        source = named.remote.cached(config, error)
    final = home / folder_name(config, source)
    if final.exists():
        return open_dataset(final), False
    with FileLock(final.with_name(f".{final.name}.lock")):
        if made := not final.exists():  # else made by the call that had the lock before
            make(config, source, final, progress)
    return open_dataset(final), made


def make(config: DataConfig, source: ImageSource | PointSource, final: Path, progress: bool) -> None:
    from genlib.data.making.build import build

    refuse_beyond_room(config, final.parent)
    scratch = final.with_name(f".{final.name}.scratch")
    shutil.rmtree(scratch, ignore_errors=True)  # left by a call that was killed; the lock is ours
    try:
        with whole_folder(final) as partial:
            scratch.mkdir()
            build(config, source, partial, scratch, progress)
            source.check_unchanged()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def refuse_beyond_room(config: DataConfig, folder: Path) -> None:
    """UserError where the dataset needs more disk than is free, or far more memory."""
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


def source_asked_for(config: DataConfig) -> Source:
    """The source that data.source names; UserError where another key of the section has no meaning for it."""
    source = source_of(config.source)
    for key in KEYS:
        value = getattr(config, key)
        if value and key not in source.keys:
            raise UserError(f"data.{key} is '{value}', but {config.source} has none; set data.{key}=null.")
    return source


def folder_name(config: DataConfig, source: OpenSource) -> str:
    return f"{safe(source.name)}-{request_hash(config, source)[:12]}"


def request_hash(config: DataConfig, source: OpenSource) -> str:
    """A hash that is equal for equal settings and equal content, whatever path or revision was named."""
    if config.is_points:
        settings = config.model_dump(mode="json", include=POINT_SETTINGS)
    else:
        # Settings that came later count only where they are set, so that older folders keep their names.
        later = {name for name in LATER if getattr(config, name) == DataConfig.model_fields[name].default}
        without = {"source", "revision", "points", *later}
        settings = {key: value for key, value in config.request.items() if key not in without}
    return sha256_of_json({"format": FORMAT, "settings": settings, "source": source.identity})


def newest_of_same_request(config: DataConfig, home: Path, remote: Remote) -> DatasetFolder | None:
    """The whole folder made last for the same settings, whatever the source's revision was then."""
    found = []
    for file in home.glob(f"[!.]*/{MANIFEST}"):
        with suppress(UserError):
            found.append(open_dataset(file.parent))
    later = {name: DataConfig.model_fields[name].default for name in LATER}
    same = [
        folder
        for folder in found
        if later | folder.manifest.request == config.request
        and folder.path.name == folder_name(config, remote.at(config, str(folder.manifest.revision)))
    ]
    return max(same, key=lambda folder: folder.manifest.created, default=None)


def safe(name: str) -> str:
    """The name with characters that every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:64].lstrip(".") or "data"
