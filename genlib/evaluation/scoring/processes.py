"""Work shared out over the processes of torch.distributed, or done alone when there is but one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor
from tqdm import tqdm

from genlib.runtime.host import keep_freed_memory
from genlib.runtime.launched import launchers_environment
from genlib.runtime.ranks import on_first_process
from genlib.runtime.signals import Interrupted
from genlib.runtime.threads import torch_threads
from genlib.sampling.draw import CHUNK

Result = TypeVar("Result")


@contextmanager
def joined(cpu: bool) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes of torchrun or accelerate launch, if there are others, and leave what was joined here."""
    member = dist.is_available() and dist.is_initialized()
    # Process 0 may have a classifier to train while the others wait.
    with launchers_environment():
        state = PartialState(cpu=cpu or not torch.accelerator.is_available(), timeout=timedelta(minutes=30))
    if state.device.type == "cpu":
        keep_freed_memory()
    try:
        yield Processes(state.device), state.device
    finally:
        if dist.is_available() and dist.is_initialized() and not member:
            dist.destroy_process_group()
            PartialState._reset_state()


def exact_device(device: torch.device) -> torch.device:
    """The device of float64 numbers, which Apple's GPUs lack."""
    return device if device.type == "cuda" else torch.device("cpu")


class Processes:
    """This process's place among all; every method must be entered by all of them, and `chunks` be used up.

    `stopped` is asked before every chunk, by all processes equally often, and must give all of them the same answer.
    """

    def __init__(self, device: torch.device, stopped: Callable[[], bool] = lambda: False) -> None:
        self.stopped = stopped
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.count = dist.get_world_size() if together else 1
        self.metric_device = exact_device(device)

    def chunks(self, rows: int) -> Iterator[int]:
        """The chunks of `rows` rows that fall to this process, round-robin; none if there are too few.

        Raises Interrupted once the processes agree to stop.
        """
        total = math.ceil(rows / CHUNK)
        for first in range(0, total, self.count):
            if self.stopped():
                raise Interrupted
            torch_threads().follow()
            if first + self.rank < total:
                yield first + self.rank

    def share(self, rows: int, work: Callable[[int], None], what: str | None = None) -> None:
        """Do `work` for each of this process's chunks, under a progress bar called `what`.

        Its first error on any process is raised on all of them, since none can go on without the others.
        """
        hidden = True if what is None or self.rank else None  # None: where there is no terminal
        total = math.ceil(math.ceil(rows / CHUNK) / self.count)
        error: Exception | None = None
        for index in tqdm(self.chunks(rows), what, total, disable=hidden):
            if error is None:
                try:
                    work(index)
                except Exception as caught:
                    error = caught
        errors: list[Any] = [error]
        if self.count > 1:
            errors = [None] * self.count
            dist.all_gather_object(errors, error)
        for of_one in errors:
            if of_one is not None:
                raise of_one

    def gather(self, mine: dict[int, Tensor], rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Everybody's chunks, {index: (at most CHUNK, columns)}, to the whole in order, (rows, columns), everywhere.

        Chunks are padded to be exchanged; what is padding never comes back.
        """
        total = math.ceil(rows / CHUNK)
        slots = max(1, math.ceil(total / self.count))
        padded = torch.zeros(slots, CHUNK, columns, dtype=dtype, device=self.metric_device)
        for index, chunk in mine.items():
            padded[index // self.count, : len(chunk)] = chunk.to(self.metric_device, dtype)
        everybody = [padded]
        if self.count > 1:
            everybody = [torch.empty_like(padded) for _ in range(self.count)]
            dist.all_gather(everybody, padded)
        # Chunk i lies in slot i // count of process i % count; only the last chunk is short.
        return torch.stack(everybody, dim=1).reshape(-1, columns)[:rows]

    def first(self, work: Callable[[], Result]) -> Result:
        """Do `work` on process 0 alone; its result, or its error, on all."""
        return on_first_process(work)
