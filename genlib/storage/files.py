"""Files and folders that are whole or absent: written beside, synced to disk, renamed; and the hashes of files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlib.errors import UserError


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_into_place(partial: Path, final: Path) -> None:
    """Give a finished file or folder its name, in one step that survives a crash."""
    sync(partial)
    os.replace(partial, final)
    sync(final.parent)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder beside `final` to write into; at the block's end it takes that name, and replaces a former
    folder of this name.

    After an error nothing of it is left, and the former folder is still there. Two processes must not do this at once
    for one name. Whoever writes a file inside syncs it.
    """
    partial, former = (final.with_name(f".{final.name}.{ending}") for ending in ("partial", "removed"))
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    try:
        partial.mkdir()
        yield partial
        shutil.rmtree(former, ignore_errors=True)
        if final.exists():
            os.replace(final, former)
        rename_into_place(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        if former.exists() and not final.exists():
            os.replace(former, final)
        raise
    shutil.rmtree(former, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder; it is renamed first, so that no half of it is ever found under its name."""
    removed = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(removed, ignore_errors=True)
    os.replace(folder, removed)
    shutil.rmtree(removed)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or none of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        rename_into_place(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all; refuses NaN and infinity, which JSON does not have."""
    write_bytes(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


class Damaged(UserError, ValueError):
    """A file whose content is not what was written."""


def read_json(path: Path) -> Any:
    """The JSON value in a file; Damaged where there is none, or one that is nested deeper than Python can follow."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is damaged ({error}); restore it, or delete it and make it again.") from error


def sha256_of_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(content: Any) -> str:
    """Hexadecimal SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
