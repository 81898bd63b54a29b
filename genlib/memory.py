"""The C library's heap, where the tensors of a CPU lie."""

from __future__ import annotations

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names for them in glibc's malloc.h


def keep_freed_memory(trim: int = 2**31 - 1, mmap: int = 2**30) -> None:
    """Let freed memory stay with the process, for its next tensors.

    By default glibc returns the top of the heap to the system as soon as more than 64 MiB of it are free, and blocks of
    more than 32 MiB at once. A training step frees as much and takes it again, and the system clears every page of it
    in between. More than `trim` bytes are returned still, and so are blocks of more than `mmap`. Where the C library is
    not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):  # no such library, or no such function in it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, trim)
        mallopt(MMAP_THRESHOLD, mmap)
