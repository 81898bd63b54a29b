"""The number of cores that this process may use; free of torch."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from genlib.runtime.capacity import groups_of_process


def cores() -> int:
    """The number of cores that this process may use: those that it may run on, or its cgroup's share of them."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([there, *(max(1, math.ceil(share)) for share in shares_of_cgroups())])


def shares_of_cgroups(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[float]:
    """The cores, as a real number, whose time this process's control groups of version 2 or 1 may use."""
    found = []
    for folder in groups_of_process("cpu", proc, root):
        with suppress(OSError, ValueError):  # "max" is no limit
            time, period = (folder / "cpu.max").read_text().split()
            found.append(int(time) / int(period))
        with suppress(OSError, ValueError):
            time, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            found.append(int(time) / int(period))  # -1: no limit
    return [share for share in found if share > 0]
