"""The configurations that come with genlib, by name, and those that a user's path names."""

from __future__ import annotations

import sys
from pathlib import Path

from genlib.errors import UserError, did_you_mean, one_line, shortened
from genlib.storage.paths import config_path, user_path

PACKAGE = Path(__file__).resolve().parents[1]
SUFFIXES = (".yaml", ".yml")
COMMAND = ("python -m ", "genlib ")  # what a comment begins with that is a command


def shipped_folder() -> Path:
    """The folder of the YAML files: in an installed package, or beside the package where it is run from its sources."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def shipped() -> dict[str, Path]:
    """The files of all configurations that come with genlib, by name, in the order of their names."""
    return {file.stem: file for file in sorted(shipped_folder().glob("*.yaml"))}


def shipped_file(name: str) -> Path | None:
    """The file of a shipped configuration, named with dashes or underscores; None for another name."""
    return shipped().get(name.replace("-", "_"))


def configuration_path(given: str) -> Path:
    """The file that a user names: a path, or the name of a configuration that comes with genlib.

    A name without a folder and a suffix is looked for in the working folder first; a file of that name wins over a
    shipped configuration, and standard error says so. UserError for a name that is neither, and for a folder.
    """
    if not given or "/" in given or given.endswith(SUFFIXES):
        return config_path(given)
    ours = shipped_file(given)
    here = next(filter(Path.is_file, [user_path(given + suffix) for suffix in ("", *SUFFIXES)]), None)
    if here is not None:
        if ours is not None:
            said = f"note: {here} in this folder is taken, not the configuration {given} that comes with genlib."
            print(one_line(said), file=sys.stderr)
        return here
    if ours is None:
        raise UserError(
            f"configuration {shortened(given)} is no file here, and none that comes with genlib"
            f"{did_you_mean(given.replace('-', '_'), shipped())}; name a YAML file, or one that `genlib configs` lists."
        )
    return ours


def meaning_of(file: Path) -> str:
    """The first comment of a configuration that is no command: its source, in a line; "" where there is none."""
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            return ""
        if (text := line.removeprefix("#").strip()) and not text.startswith(COMMAND):
            return text
    return ""
