"""Locks on folders, in which one process works at a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genlib.errors import UserError
from genlib.storage.files import read_json, write_json

PATIENCE = 2.0  # seconds; a process that has just died may hold it for a moment


@contextmanager
def held(folder: Path, work: str) -> Iterator[None]:
    """Hold a lock: no other process does this `work` in `folder`. UserError, with the owner, where one does already.

    The lock is the operating system's: whatever ends its owner frees it. File systems that several hosts share must
    support flock, as NFS 4 does.
    """
    lock = FileLock(folder / f".{work}.lock")
    owner_file = folder / f".{work}.owner.json"
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise UserError(f"{folder} is in use: {owner_of(owner_file, work)}; wait for its end, or end it.") from error
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror}); use a folder of your own.") from error
    try:
        owner = {"host": platform.node(), "process": os.getpid(), "since": datetime.now(UTC).isoformat(" ", "seconds")}
        with suppress(OSError):  # a full disk; the lock itself is held
            write_json(owner_file, owner)
        yield
    finally:
        with suppress(OSError):
            owner_file.unlink(missing_ok=True)
        lock.release()


def owner_of(file: Path, work: str) -> str:
    try:
        owner: dict[str, Any] = read_json(file)
        return f"process {owner['process']} on {owner['host']} has been at {work} there since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"another process is at {work} there"
