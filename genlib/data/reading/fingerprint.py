"""The files of a local source, and a hash of their contents that is kept, so that a second call reads no file."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from genlib.errors import UserError
from genlib.runtime.cores import cores
from genlib.storage.files import read_json, sha256_of_file, sha256_of_json, write_json

# A file that changed this recently could change again within its clock's tick, and look the same.
SETTLED_NANOSECONDS = 2_000_000_000


class FileState(NamedTuple):
    name: str  # relative to the source, with forward slashes
    size: int
    modified: int  # nanoseconds
    changed: int  # nanoseconds; also moves when another file takes the name and keeps its old modification time


@dataclass(frozen=True)
class Listing:
    """A local source's files, in the order of their names, without hidden ones.

    `beside` are images outside of these files that its tables name; they are part of its content too.
    """

    root: Path
    files: list[FileState]
    beside: tuple[FileState, ...] = ()  # their names may lead outside of the folder

    @property
    def names(self) -> list[PurePosixPath]:
        """The files' names, relative to the folder."""
        return [PurePosixPath(file.name) for file in self.files]

    @property
    def folder(self) -> Path:
        return self.root if self.root.is_dir() else self.root.parent

    def path(self, file: FileState) -> Path:
        return self.folder / file.name


def list_files(root: Path) -> Listing:
    """Every file below a folder (links followed), or the one file.

    UserError for a folder that cannot be read, a name that is not UTF-8, and a file that is a pipe or a device.
    """
    if not is_text(str(root)):
        raise UserError(not_text(str(root)))
    try:
        names = list(walk(str(root), "", ())) if root.is_dir() else [(root.name, root.stat())]
    except OSError as error:
        raise UserError(
            f"data.source: {error.filename} cannot be read ({error.strerror}); repair or remove it."
        ) from error
    for name, state in names:
        if not is_text(name):
            raise UserError(not_text(name))
        if not stat.S_ISREG(state.st_mode):
            raise UserError(f"data.source: {root / name} is a pipe, a socket or a device; remove it, or name another.")
    return Listing(root, sorted(state_of(name, state) for name, state in names))


def state_of(name: str, state: os.stat_result) -> FileState:
    return FileState(name, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def with_beside(listing: Listing, images: Iterable[str]) -> Listing:
    """The listing with those of these files, named as the listing's are, that exist and are not in it."""
    listed = {file.name for file in listing.files}
    states = []
    for name in set(images) - listed:
        file = listing.folder / name
        with suppress(OSError, ValueError):  # a name that no file can have
            if file.is_file():
                states.append(state_of(name, file.stat()))
    return replace(listing, beside=tuple(sorted(states)))


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8, as manifests and pages need it."""
    return not any("\udc80" <= character <= "\udcff" for character in name)  # how Python keeps other bytes


def not_text(name: str) -> str:
    escaped = os.fsencode(name).decode(errors="backslashreplace")
    return (
        f"data.source: the name '{escaped}' is not UTF-8; rename it, or all of them with: "
        "convmv -f latin1 -t utf8 -r --notest FOLDER."
    )


def walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    """The names and states of the files below; `above` are the folders walked through, to end circles of links."""
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
    """SHA-256 over the names, sizes and contents of the files, wherever the source lies."""

    def found() -> str:
        return sha256_of_json([[file.name, file.size, digest] for file, digest in read(listing, progress)])

    return str(kept("hash", listing, cache, found))


def kept(what: str, listing: Listing, cache: Path, find: Callable[[], Any]) -> Any:
    """A JSON value that `find` computes from the contents of a source, kept so that a second call reads no contents.

    `cache` holds one small file for each state of a source, named by the hash of its root and of its files' names,
    sizes and times.
    """
    states = [*listing.files, *listing.beside]
    file = cache / sha256_of_json([what, str(listing.root), states])
    if file.exists():
        return read_json(file)
    value = find()
    newest = max((state.modified for state in states), default=0)
    if newest < time.time_ns() - SETTLED_NANOSECONDS:
        cache.mkdir(exist_ok=True)
        write_json(file, value)
    return value


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
