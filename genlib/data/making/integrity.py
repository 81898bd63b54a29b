"""The check that a dataset folder still holds the arrays that were written into it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.storage.files import read_json, sha256_of_file, sha256_of_json, write_json

STAMP = ".verified.json"  # sizes and times of the files that were found to be whole


def arrays_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def content_hash_of(folder: Path) -> str:
    """SHA-256 over the array files, as in the manifest."""
    return sha256_of_json({file.name: sha256_of_file(file) for file in arrays_of(folder)})


def check_contents(dataset: DatasetFolder) -> None:
    """Check that the arrays have the hash that the manifest says; UserError where they have not.

    They are hashed only where a file's size or time differs from when they were last found whole.
    """
    try:
        stats = {file.name: file.stat() for file in arrays_of(dataset.path)}
        present = {name: [stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in stats.items()}
        stamp = dataset.path / STAMP
        with suppress(OSError, ValueError):
            if read_json(stamp) == present:
                return
        found, expected = content_hash_of(dataset.path), dataset.manifest.content_hash
    except OSError as error:
        raise UserError(
            f"dataset folder {dataset.path} cannot be read ({error.strerror}); make it again: genlib prepare CONFIG."
        ) from error
    if found != expected:
        raise UserError(
            f"dataset folder {dataset.path} has changed since it was made (content hash {found[:12]}, its manifest "
            f"says {expected[:12]}); delete it, and make it again: genlib prepare CONFIG."
        )
    with suppress(OSError):  # a read-only folder
        write_json(stamp, present)
