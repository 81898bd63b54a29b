"""GENLIB_HOME: the one folder that holds all that genlib makes (default ./.genlib)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from genlib.errors import UserError
from genlib.storage.paths import user_path


def home() -> Path:
    """The absolute path of GENLIB_HOME, made if absent; UserError if it cannot be written to."""
    path = user_path(os.environ.get("GENLIB_HOME") or ".genlib").absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f"GENLIB_HOME ({path}) cannot be written to ({error.strerror}); set GENLIB_HOME to a folder of your own."
        ) from error
    return path


def data_folder() -> Path:
    """The folder of prepared datasets."""
    path = home() / "data"
    path.mkdir(exist_ok=True)
    return path


def runs_folder() -> Path:
    """The folder of run folders."""
    path = home() / "runs"
    path.mkdir(exist_ok=True)
    return path
