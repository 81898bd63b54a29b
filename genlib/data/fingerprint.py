"""The files of a local source, and a hash of their contents that the second call has without reading them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from genlib.data.workers import cores
from genlib.errors import UserError
from genlib.files import sha256_of_file, sha256_of_json, write_bytes

# A file that changed this recently could change again within its clock's tick, and look the same.
SETTLED_NANOSECONDS = 2_000_000_000


class FileState(NamedTuple):
    name: str  # relative to the source, with forward slashes
    size: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds; also moves when another file takes the name and keeps its old modification time


@dataclass(frozen=True)
class Listing:
    """A local source's files, in the order of their names; hidden ones are no data.

    `beside` are images that its tables name and that are none of these files: part of its content all the same.
    """

    root: Path
    files: list[FileState]
    beside: tuple[FileState, ...] = ()  # their names may lead out of the folder

    @property
    def folder(self) -> Path:
        return self.root if self.root.is_dir() else self.root.parent

    def path(self, file: FileState) -> Path:
        return self.folder / file.name


def list_files(root: Path) -> Listing:
    """Every file below a folder (links followed), or the one file; UserError for what cannot be read."""
    try:
        names = list(walk(str(root), "", ())) if root.is_dir() else [(root.name, root.stat())]
    except OSError as error:
        raise UserError(
            f"data.source: {error.filename} cannot be read ({error.strerror}); mend or remove it."
        ) from error
    return Listing(root, sorted(state_of(name, stat) for name, stat in names))


def state_of(name: str, stat: os.stat_result) -> FileState:
    return FileState(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def with_beside(listing: Listing, images: Iterable[Path]) -> Listing:
    """The listing with those of these files that exist and are not in it."""
    folder = listing.folder
    listed = {folder / file.name for file in listing.files}
    found = filter(is_there, set(images) - listed)
    return replace(
        listing, beside=tuple(sorted(state_of(os.path.relpath(file, folder), file.stat()) for file in found))
    )


def is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    """The names and states of the files below; `above` are the folders walked through, so that no link goes round."""
    state = os.stat(folder)
    identity = (state.st_dev, state.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from walk(entry.path, f"{prefix}{entry.name}/", (*above, identity))
            else:
                yield prefix + entry.name, entry.stat()


def content_hash(listing: Listing, cache: Path, progress: bool = True) -> str:
    """SHA-256 over the names, sizes and contents of the files, wherever the source lies; remembered in `cache`."""
    states = [*listing.files, *listing.beside]

    def hashed() -> str:
        return sha256_of_json([[file.name, file.size, digest] for file, digest in read(listing, progress)])

    return remembered(cache, [str(listing.root), states], states, hashed)


def remembered(cache: Path, key: Any, states: Iterable[FileState], read_them: Callable[[], str]) -> str:
    """What `read_them` finds in files in these states, which `key` names.

    `cache` holds one small file for each key, named by its hash, so that a second call reads no contents.
    """
    known = cache / sha256_of_json(key)
    if known.exists():
        return known.read_text()
    content = read_them()
    newest = max((file.modified for file in states), default=0)
    if newest < time.time_ns() - SETTLED_NANOSECONDS:
        cache.mkdir(exist_ok=True)
        write_bytes(known, content.encode())
    return content


def read(listing: Listing, progress: bool) -> Iterator[tuple[FileState, str]]:
    """Each file with the SHA-256 of its contents, read on all cores."""
    from tqdm import tqdm

    files = [*listing.files, *listing.beside]
    size = sum(file.size for file in files)
    disable = None if progress else True  # None: shown on a terminal only
    with (
        ThreadPoolExecutor(cores()) as threads,
        tqdm(total=size, desc="reading source", unit="B", unit_scale=True, disable=disable, leave=False) as bar,
    ):
        digests = threads.map(sha256_of_file, map(listing.path, files))
        for file, digest in zip(files, digests, strict=True):
            bar.update(file.size)
            yield file, digest
