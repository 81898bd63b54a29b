"""Real data that lie on this machine, as environment variables name them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

PROJECT = Path(__file__).parents[2]
CONFIGS = PROJECT / "configs"
FOLDERS = {"ylecun/mnist": "MNIST", "uoft-cs/cifar10": "CIFAR10"}  # environment variables that name a local copy


def files_of(variable: str) -> Path | None:
    """The absolute path that an environment variable names; None where it is not set or empty."""
    return Path(os.environ[variable]).resolve() if os.environ.get(variable) else None


def mnist_files() -> Path | None:
    return files_of("MNIST")


def local_source(config: RunConfig) -> str | None:
    """The value of data.source on this machine; None for data of the hub of which no copy is named."""
    variable = FOLDERS.get(config.data.source)
    if variable is None:
        return config.data.source
    folder = files_of(variable)
    return str(folder) if folder else None
