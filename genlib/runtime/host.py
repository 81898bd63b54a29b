"""The heap, the smallest numbers, the device and the peak memory of this process."""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names for them in glibc's malloc.h


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let results below the smallest normal number (1e-38 in float32) be 0.

    Adam's averages of gradients that have vanished, as those of dark pixels and dead units do, decay through such
    numbers, with which a CPU computes many times slower. It holds for the calling thread, and for good for those that
    it starts meanwhile: enter before the first tensor.
    """
    before = torch.tensor(1e-30) * 1e-10 == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(bool(before))


def keep_freed_memory() -> None:
    """Let freed memory stay with the process, for its next tensors.

    By default glibc returns the top of the heap to the system as soon as more than 64 MiB of it are free, and blocks of
    more than 32 MiB at once. A training step frees as much and takes it again, and the system clears every page of it
    in between. Where the C library is not glibc, nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):  # no such library, or no such function in it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_THRESHOLD, 2**30)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that this process has taken: of the device on a GPU, resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
