"""Whether anything of a run is still at work."""

from __future__ import annotations

import time
from pathlib import Path

import psutil


def none_left(run_dir: Path, within: float = 60) -> bool:
    """Whether, after so many seconds at most, no process has the folder among its arguments."""

    def there() -> bool:
        processes = psutil.process_iter(["cmdline", "status"])
        return any(
            str(run_dir) in (each.info["cmdline"] or []) and each.info["status"] != psutil.STATUS_ZOMBIE
            for each in processes
        )

    deadline = time.monotonic() + within
    while there() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not there()
