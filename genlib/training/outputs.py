"""The output of a training run, written by its main process alone. A full disk does not end the training."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from genlib.training.state.checkpoint import Snapshot, save_checkpoint

Warn = Callable[[str], None]


def attempt(what: str, write: Callable[[], object], warn: Warn) -> bool:
    """Whether `write` went well; a warning that names `what` where the disk did not take it."""
    try:
        write()
    except OSError as error:
        warn(f"{what} could not be written ({error.strerror or error}); training goes on, and tries again in time.")
        return False
    return True


class CheckpointWriter:
    """Saves checkpoints in a thread, one at a time."""

    def __init__(self, warn: Warn) -> None:
        self.warn = warn
        self._held, self._written = 0.0, 0.0  # seconds that training waited, and that the thread wrote
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._flight: Future[bool] | None = None

    def save(self, folder: Path, take: Callable[[], Snapshot], keep: int, last_good: int) -> None:
        """Copy now, and write in the background once the one before is written."""
        begun = time.perf_counter()
        self.wait()
        self._flight = self._thread.submit(self._write, folder, take(), keep, last_good)
        self._held += time.perf_counter() - begun

    def wait(self) -> bool:
        """Wait until nothing is being written; whether the last checkpoint is on disk."""
        return self._flight is None or self._flight.result()

    def _write(self, folder: Path, snapshot: Snapshot, keep: int, last_good: int) -> bool:
        begun = time.perf_counter()
        what = f"the checkpoint of step {snapshot.numbers['step']}"
        saved = attempt(what, lambda: save_checkpoint(folder, snapshot, keep, last_good), self.warn)
        self._written += time.perf_counter() - begun
        return saved

    def costs(self) -> dict[str, float]:
        """Seconds that checkpoints took since the last call; {} where there were none."""
        costs = {"checkpoint_held_seconds": self._held, "checkpoint_write_seconds": self._written}
        self._held = self._written = 0.0
        return {name: round(seconds, 4) for name, seconds in costs.items() if seconds}


class MetricsLog:
    """metrics.jsonl, whole lines only. Those that a full disk does not take are kept until it does."""

    def __init__(self, file: Path, warn: Warn) -> None:
        self.file, self.warn = file, warn
        self._waiting: list[str] = []

    def write(self, line: dict[str, Any]) -> None:
        self._waiting.append(json.dumps(line, allow_nan=False) + "\n")
        if attempt(self.file.name, self._append, self.warn):
            self._waiting.clear()

    def forget(self) -> None:
        """Drop lines that no longer hold, since training went back to an earlier step."""
        self._waiting.clear()

    def _append(self) -> None:
        content = "".join(self._waiting).encode()
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if os.write(descriptor, content) < len(content):
                os.ftruncate(descriptor, size)  # half a line would be there otherwise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
