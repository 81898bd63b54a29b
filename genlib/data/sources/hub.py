"""Datasets of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from genlib.data.sources import Remote, SourceOfImages, built_in_names
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.config import DataConfig
    from genlib.data.reading.base import ImageSource, Unreachable


def open_newest(config: DataConfig, cache: Path, progress: bool) -> ImageSource:
    """The dataset at the commit that the configuration means now."""
    from genlib.data.reading.hub import HubSource, resolve_commit

    name = config.source
    if re.match(r"[/.~]", name) or name.count("/") > 1 or name.endswith(".parquet"):
        raise UserError(
            f"data.source {name} does not exist; name a file or folder that does, a hub dataset such as "
            f"ylecun/mnist, or {', '.join(built_in_names())}."
        )
    return HubSource(name, resolve_commit(config, built_in_names()))


def open_at(config: DataConfig, commit: str) -> ImageSource:
    from genlib.data.reading.hub import HubSource

    return HubSource(config.source, commit)


def open_cached(config: DataConfig, reason: Unreachable) -> ImageSource:
    from genlib.data.reading.hub import find_in_cache

    return find_in_cache(config, reason, built_in_names())


HUB = SourceOfImages(
    name="hub",
    description="the name of a dataset on the Hugging Face hub, such as ylecun/mnist",
    opened_by=open_newest,
    answers_to=lambda source: True,
    turn="last",
    keys=("revision", "subset"),
    remote=Remote(at=open_at, cached=open_cached),
)
