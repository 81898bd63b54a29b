"""How much memory and disk this process may use, and the refusal of work that needs far more; free of torch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from genlib.errors import UserError

# A need is a lower bound, and free memory is a matter of the moment: only what is far beyond it is refused.
MARGIN = 1.5
NO_LIMIT = 2**60  # the value in a cgroup without a limit


def free_memory() -> int:
    """Bytes of main memory that this process may take now: what is free of the machine, or its cgroup's limit."""
    limits = [free_of_machine(), *limits_of_cgroups()]
    return min(limit for limit in limits if limit < NO_LIMIT)


def free_of_machine(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes of free memory and free swap; all memory where the system is not Linux."""
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return sum(1024 * int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits_of_cgroups(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """The limits of this process's control groups and of all above them, of version 2 or 1, as far as they can be
    read.
    """
    found = []
    for folder in groups_of_process("memory", proc, root):
        for file in ("memory.max", "memory.limit_in_bytes"):  # of version 2, and of version 1
            with suppress(OSError, ValueError):  # "max" is no limit
                found.append(int((folder / file).read_text()))
    return found


def groups_of_process(controller: str, proc: Path, root: Path) -> list[Path]:
    """The folders of this process's control groups with a controller, and of all above them. A container sees its own
    group as the root.
    """
    try:
        lines = [line.split(":", 2)[1:] for line in proc.read_text().splitlines()]
    except OSError:
        return []
    found: list[Path] = []
    for controllers, name in (line for line in lines if len(line) == 2):
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        group = base / name.lstrip("/")
        found += [folder for folder in (group, *group.parents) if folder.is_relative_to(base)]
    return found


def refuse_beyond_memory(needs: Mapping[str, int], free: int, remedy: str) -> None:
    """UserError with the figures where parts in bytes, by their names, need far more than is `free`."""
    need = sum(needs.values())
    if need > MARGIN * free:
        parts = ", ".join(f"{name} {size(bytes_)}" for name, bytes_ in needs.items() if bytes_ > need / 100)
        raise UserError(f"this needs about {size(need)} of memory ({parts}), and {size(free)} are free; {remedy}.")


def refuse_beyond_disk(what: str, need: int, folder: Path, remedy: str) -> None:
    """UserError where a folder's disk has less room than `need` bytes."""
    free = shutil.disk_usage(folder).free
    if need > free:
        raise UserError(f"{what} need {size(need)} on disk, and {size(free)} are free at {folder}; {remedy}.")


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    value, units = float(count), iter(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while value >= 1024 and (larger := next(units, None)):
        value, unit = value / 1024, larger
    return f"{value:,.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
