"""Rows of an array file that is too large for memory, read some steps ahead of the training."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

DEPTH = 3  # steps in memory: one at work, one on its way to the device, one being read

RowsOf = Callable[[int], list[Tensor]]  # step => the rows of each of its parts, int64 (n,)
PartsOfStep = list[tuple[Tensor, Tensor]]  # rows, int64 (n,), with their images, (n, ...)


class ReadAhead:
    """The images of step after step, each read before it is asked for.

    A thread reads into a ring of buffers, pinned where the device is a GPU, so that their copies run beside the
    training. It asks the disk for all rows of a step at once, and takes no more memory for a larger file.
    """

    def __init__(self, images: np.ndarray, device: torch.device) -> None:
        self._images, self._device = images, device
        self._file = RowsOfFile(images) if isinstance(images, np.memmap) and hasattr(os, "posix_fadvise") else None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._slots = cycle([Slot(device) for _ in range(DEPTH)])
        self._ahead: deque[Ahead] = deque()

    def begin(self, rows_of: RowsOf) -> None:
        """Set the rows of each step from here on."""
        self._rows_of = rows_of
        self._forget()

    def __call__(self, step: int) -> PartsOfStep:
        """For each part of step `step`: its rows, and their images on the device, valid until the next call."""
        if self._ahead and self._ahead[0].step != step:
            self._forget()
        for later in range(step + len(self._ahead), step + DEPTH):
            slot = next(self._slots)
            self._ahead.append(Ahead(later, slot, self._reader.submit(self._read, later, slot)))
        now = self._ahead.popleft()
        found = [(rows, images.to(self._device, non_blocking=True)) for rows, images in now.parts.result()]
        now.slot.note_copies()
        return found

    def _forget(self) -> None:
        while self._ahead:
            self._ahead.popleft().parts.result()

    def _read(self, step: int, slot: Slot) -> PartsOfStep:
        parts = self._rows_of(step)
        buffers = slot.room([len(rows) for rows in parts], self._images)
        if self._file:
            self._file.read(parts, buffers)
            return list(zip(parts, buffers, strict=True))
        for rows, buffer in zip(parts, buffers, strict=True):
            # Any other mode would gather into an array of its own first.
            np.take(self._images, rows.numpy(), axis=0, out=buffer.numpy(), mode="clip")
        return list(zip(parts, buffers, strict=True))


class Slot:
    """Buffers for the images of one step, with the event that the device has copied them."""

    def __init__(self, device: torch.device) -> None:
        self._pinned = device.type == "cuda"
        self._buffers: list[Tensor] = []
        self._copied: torch.cuda.Event | None = None

    def room(self, counts: list[int], images: np.ndarray) -> list[Tensor]:
        """A buffer for each part, once the device has copied what was in it."""
        if self._copied:
            self._copied.synchronize()
        if [len(buffer) for buffer in self._buffers] != counts:
            dtype = torch.from_numpy(np.empty(0, images.dtype)).dtype
            shapes = [(count, *images.shape[1:]) for count in counts]
            self._buffers = [torch.empty(shape, dtype=dtype, pin_memory=self._pinned) for shape in shapes]
        return self._buffers

    def note_copies(self) -> None:
        """Record that all copies to the device have been asked for."""
        if self._pinned:
            self._copied = torch.cuda.Event()
            self._copied.record()


class Ahead(NamedTuple):
    step: int
    slot: Slot
    parts: Future[PartsOfStep]


class RowsOfFile:
    """The rows of a memory-mapped array, read from its file past the map: for a row, with its neighbours, mapped pages
    would hold up to 2 MB in memory.
    """

    def __init__(self, images: np.memmap) -> None:
        assert images.filename is not None and images.flags.c_contiguous
        self._file = open(images.filename, "rb", buffering=0)  # noqa: SIM115 - it lives as long as this does
        self._first, self._row_bytes = images.offset, images[:1].nbytes
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # else each row brings its neighbours along

    def read(self, parts: list[Tensor], buffers: list[Tensor]) -> None:
        """Read rows, int64 (n,) each, into buffers (n, ...); OSError where the file has become shorter."""
        file, length = self._file.fileno(), self._row_bytes
        places = [[self._first + row * length for row in rows.tolist()] for rows in parts]
        for place in [place for of_part in places for place in of_part]:
            os.posix_fadvise(file, place, length, os.POSIX_FADV_WILLNEED)  # the disk is asked for all at once
        for of_part, buffer in zip(places, buffers, strict=True):
            space = buffer.numpy().data.cast("B")
            for position, place in enumerate(of_part):
                found = os.preadv(file, [space[position * length : (position + 1) * length]], place)
                if found != length:
                    raise OSError(f"{self._file.name} has become shorter while it was read; prepare the data anew.")
