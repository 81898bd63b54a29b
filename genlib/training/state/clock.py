"""The time that a run has trained, and its speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from genlib.training.state.checkpoint import Progress


class Clock:
    """Seconds of the run, carried on from the checkpoint, and images per second since the last lap."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.began = time.perf_counter() - progress.seconds
        self.stop()
        self.lap_images, self.lap_seconds = progress.images, progress.seconds

    def stop(self) -> None:
        self.progress.seconds = time.perf_counter() - self.began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens meanwhile is no training."""
        began = time.perf_counter()
        yield
        self.began += time.perf_counter() - began

    def lap(self) -> float:
        self.stop()
        progress = self.progress
        rate = (progress.images - self.lap_images) / max(progress.seconds - self.lap_seconds, 1e-9)
        self.lap_images, self.lap_seconds = progress.images, progress.seconds
        return rate
