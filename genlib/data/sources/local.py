"""Files and folders on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from genlib.data.sources import SourceOfImages

if TYPE_CHECKING:
    from genlib.data.config import DataConfig
    from genlib.data.reading.base import ImageSource


def is_there(source: str) -> bool:
    return os.path.exists(os.path.expanduser(source))  # os.path: a name that no file can have is no error


def open_local(config: DataConfig, cache: Path, progress: bool) -> ImageSource:
    from genlib.data.reading.local import LocalSource

    return LocalSource(Path(config.source).expanduser().resolve(), cache, progress)


LOCAL = SourceOfImages(
    name="local",
    description="a Parquet file, or a folder of images, of Parquet files, or in a layout that `datasets` reads",
    opened_by=open_local,
    answers_to=is_there,
    turn="paths",
    keys=("subset", "folders"),
)
