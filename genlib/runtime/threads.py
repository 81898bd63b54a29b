"""The number of threads that torch computes with on a CPU: as many as other programs leave free.

Two trainings with a thread for each core wait for one another at the end of every operation, many thousands of times a
second, and both become many times slower than with half of the threads each. So a program that computes asks every now
and then how busy the others were. A change moves results by rounding: where OMP_NUM_THREADS or MKL_NUM_THREADS is set,
as torchrun does, the number stays as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import psutil
import torch

from genlib.runtime.cores import cores

PERIOD = 2.0  # seconds between looks at the load
# The distances, in cores, from the present number at which it changes: a load in between leaves it alone.
LESS, MORE = 0.5, 0.75
SET_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class Usage(NamedTuple):
    """Seconds of CPU time so far, on the cores that this process may run on."""

    cores: int
    all: float  # by all programs, and by other guests of the machine
    own: float  # by the threads of this process


def usage() -> Usage:
    """The present one."""
    times = psutil.cpu_times(percpu=True)
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(len(times)))
    if max(mine) < len(times):  # else some cores are switched off, and the others have other places in the list
        times = [times[core] for core in mine]
    own = psutil.Process().cpu_times()
    idle = ("idle", "iowait", "guest", "guest_nice")  # the time of guests is in user and nice already
    busy = sum(value for core in times for name, value in core._asdict().items() if name not in idle)
    return Usage(len(times), busy, own.user + own.system)


class Threads:
    """The number of torch's threads in this process.

    `fixed` is the number to compute with whatever the load; None: as many as others leave free.

    Args:
        most: the largest number, that of a machine without other programs.
        follows: whether the number follows the load; else it is `most`.
    """

    def __init__(
        self,
        most: int,
        follows: bool,
        look: Callable[[], Usage] = usage,
        clock: Callable[[], float] = time.monotonic,
        apply: Callable[[int], None] = torch.set_num_threads,
    ) -> None:
        self.most, self.number, self.follows = most, most, follows and most > 1
        self.fixed: int | None = None
        self._look, self._clock, self._apply = look, clock, apply
        self._begin()

    def follow(self) -> int:
        """Let the number follow the load of the last seconds; call it often, from the thread that computes.

        Returns the number.
        """
        if self.fixed:
            self._set(self.fixed)
        elif self.follows and self._clock() - self._began >= PERIOD:
            before, began = self._usage, self._began
            self._begin()
            others = max(0.0, (self._usage.all - before.all) - (self._usage.own - before.own))
            free = min(cores(), self._usage.cores - others / (self._began - began))
            self._set(fitting(self.number, self.most, free))
        return self.number

    def _begin(self) -> None:
        if self.follows:
            self._began, self._usage = self._clock(), self._look()

    def _set(self, number: int) -> None:
        if number != self.number:
            self.number = number
            self._apply(number)


def fitting(number: int, most: int, free: float) -> int:
    """The number of threads for so many `free` cores, where it is `number` now."""
    if free < number - LESS:
        return max(1, round(free))
    if free > number + MORE:
        return min(most, int(free + 1 - MORE))
    return number


@cache
def torch_threads() -> Threads:
    """Those of this process."""
    chosen = any(name in os.environ for name in SET_BY_USERS)
    most = torch.get_num_threads()
    if not chosen and cores() < most:  # a container's share of the machine
        torch.set_num_threads(most := cores())
    return Threads(most, follows=not chosen)
