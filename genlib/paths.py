"""Paths as users give them: `~` is expanded, and what no file system takes is refused before any work."""

from __future__ import annotations

import errno
import os
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
    except OSError as error:
        remedy = "use a shorter name" if error.errno == errno.ENAMETOOLONG else "name another"
        shown = given if len(given) <= 100 else f"{given[:100]}..."
        raise UserError(f"the path {shown} cannot be used ({error.strerror}); {remedy}.") from error
    return path


def output_path(given: str) -> Path:
    """A user's path at which something is to be written; UserError where the user has no right to do so."""
    path = user_path(given)
    check_writable(path)
    return path


def check_working_directory(what: str) -> None:
    """UserError where the folder that relative paths start from has been removed."""
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
    if not os.access(there, os.W_OK | (os.X_OK if there.is_dir() else 0)):
        raise UserError(f"{path} cannot be written ({there} is read-only for this user); name another place.")
