"""The configurations that come with the project, by name."""

from __future__ import annotations

from pathlib import Path

from genlib.errors import UserError, did_you_mean
from genlib.runtime.provenance import PROJECT
from genlib.storage.paths import config_path

SHIPPED = PROJECT / "configs"


def configuration_file(name: str) -> Path:
    """The file of a shipped configuration, or of one that a path names; UserError for a name that is none."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return config_path(name)
    file = SHIPPED / f"{name.replace('-', '_')}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
        raise UserError(
            f"configuration {name!r} is not one that comes with genlib{did_you_mean(name, known)}; name one of "
            f"{SHIPPED}, or the path of a YAML file."
        )
    return file
