"""Standard output and standard error that never fail: a line that cannot be written is dropped and counted.

A log on a full disk, a pipe whose reader has gone, a terminal that was closed: none of them may end a training. The
losses are caught below Python's buffers, so that print, logging, warnings, tqdm and the flush at the process's end are
all covered by the same few lines.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import IO, TextIO, cast

DESCRIPTORS = (0, 1, 2)


class _Lossy(io.RawIOBase):
    """One file descriptor; counts the lines that it did not take, and says so once it takes some again."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lost, self.unsaid = 0, 0  # lines, since the start and since the last that was written
        self.reason: int | None = None  # errno of the last one

    def write(self, content: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            if self.unsaid:
                why = os.strerror(self.reason or 0)
                note = f"note: {self.unsaid:,} lines of output could not be written here ({why}).\n"
                self._write_all(memoryview(note.encode()))
                self.unsaid = 0
            self._write_all(memoryview(content))
        except OSError as error:
            lines = max(1, bytes(content).count(b"\n"))
            self.lost, self.unsaid, self.reason = self.lost + lines, self.unsaid + lines, error.errno
        return len(content)

    def _write_all(self, content: memoryview) -> None:
        while len(content):
            try:
                content = content[os.write(self.descriptor, content) :]
            except BlockingIOError:  # another program has made the terminal non-blocking
                select.select([], [self.descriptor], [])

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)


def protect_output() -> None:
    """Replace the process's sys.stdout and sys.stderr; those that a program has replaced itself are left alone.

    A descriptor that was closed at the start (`2>&-`) is opened on /dev/null: the next file that is opened, such as a
    checkpoint, would otherwise get its number, and with it all that a C library prints.
    """
    for descriptor in DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _protected(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _protected(2, sys.stderr)


def _protected(descriptor: int, former: TextIO | None) -> TextIO:
    """A text stream over the descriptor, buffered as `former` is (None: it was closed when Python started)."""
    if former is not None:
        with suppress(OSError):
            former.flush()
    raw = _Lossy(descriptor)
    by_line = raw.isatty() or descriptor == 2 or getattr(former, "write_through", False)
    encoding = former.encoding if former is not None else "utf-8"
    # A character that the encoding lacks is no reason to fail either.
    buffer = io.BufferedWriter(cast(io.RawIOBase, raw))
    return io.TextIOWrapper(buffer, encoding, "backslashreplace", line_buffering=by_line)


def lost_lines() -> int:
    """Lines of standard output and standard error that could not be written so far."""
    return sum(raw.lost for stream in (sys.stdout, sys.stderr) if (raw := _raw(stream)))


def reason_of_loss(stream: IO[str]) -> str | None:
    """Why lines of `stream` were lost; None where none were, or where the reader of a pipe wanted no more of them."""
    stream.flush()
    raw = _raw(stream)
    return os.strerror(raw.reason) if raw and raw.reason not in (None, errno.EPIPE) else None


def _raw(stream: object) -> _Lossy | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Lossy) else None
