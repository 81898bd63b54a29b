"""Whether anything of a run is still at work."""

from __future__ import annotations

import time
from pathlib import Path

import psutil


def left_over(run_dir: Path, within: float = 60) -> list[str]:
    """The processes that still have the folder among their arguments after so many seconds; [] as soon as none has."""
    deadline = time.monotonic() + within
    while (there := at_work_on(run_dir)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return there


def at_work_on(run_dir: Path) -> list[str]:
    """Each with its parent, state and arguments."""
    keys = ["pid", "ppid", "status", "cmdline", "create_time"]
    return [
        f"{each.info} on {time.time():.2f}"
        for each in psutil.process_iter(keys)
        if str(run_dir) in (each.info["cmdline"] or []) and each.info["status"] != psutil.STATUS_ZOMBIE
    ]
