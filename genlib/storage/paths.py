"""Paths as users give them: `~` is expanded, and what no file system takes is refused before any work."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from genlib.errors import UserError


def user_path(given: str) -> Path:
    """The path with `~` and `~user` expanded; UserError where it cannot be that of a file or folder."""
    if not given or "\0" in given:
        raise UserError(f"the path {given!r} must be the name of a file or folder, without NUL characters; name one.")
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:  # no such user
        raise UserError(f"the path {given} begins with an unknown user's home ({error}); write it out.") from error
    if not path.is_absolute():
        check_working_directory(given)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError as error:  # characters that no encoding has
        raise UserError(f"the path {given!r} cannot be the name of a file ({error}); name another.") from error
    except OSError as error:
        remedy = "use a shorter name" if error.errno == errno.ENAMETOOLONG else "name another"
        shown = given if len(given) <= 100 else f"{given[:100]}..."
        raise UserError(f"the path {shown} cannot be used ({error.strerror}); {remedy}.") from error
    return path


def config_path(given: str) -> Path:
    """A user's path of a configuration; UserError where something else than a file is there.

    A pipe that a shell has opened, as `<(...)` and /dev/stdin, is as good as a file; a named one may never end.
    """
    path = user_path(given)
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever reads it tells
        return path
    piped = stat.S_ISFIFO(mode) and path.is_relative_to("/dev")
    if not (stat.S_ISREG(mode) or piped):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or a named pipe"
        raise UserError(f"configuration {path} is {kind}; name a YAML file.")
    return path


def output_path(given: str) -> Path:
    """A user's path at which something is to be written; UserError where the user has no right to do so."""
    path = user_path(given)
    check_writable(path)
    return path


def check_working_directory(what: str) -> None:
    """UserError where the working directory, from which relative paths start, has been removed."""
    try:
        os.getcwd()
    except OSError as error:
        raise UserError(
            f"the path {what} is relative, and the working directory does not exist any more; cd to one that does."
        ) from error


def check_writable(path: Path) -> None:
    """UserError where `path`, or the nearest folder above it that is there, is read-only for this user."""
    there = path.absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if there != path.absolute() and not there.is_dir():
        raise UserError(f"{path} cannot be written ({there} is no folder); name another place.")
    try:
        if there.is_dir():
            with tempfile.TemporaryFile(dir=there):  # it leaves nothing behind
                pass
        elif not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only for this user")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({there}: {error.strerror}); name another place.") from error
