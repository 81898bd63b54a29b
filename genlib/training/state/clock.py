"""The time that a run has trained, and its speed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar


class Clock:
    """Seconds of training in all attempts at the run, and images per second since the last lap."""

    keys: ClassVar[tuple[str, ...]] = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0  # until it was stopped last
        self.start(0)

    def start(self, images: int) -> None:
        """Go on counting after `seconds`, in which `images` images were seen."""
        self._began = time.perf_counter() - self.seconds
        self._lap = images, self.seconds

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self._began

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside out."""
        began = time.perf_counter()
        yield
        self._began += time.perf_counter() - began

    def lap(self, images: int) -> float:
        """Images per second since the last lap, now that `images` have been seen in all."""
        self.stop()
        images_then, seconds_then = self._lap
        self._lap = images, self.seconds
        return (images - images_then) / max(self.seconds - seconds_then, 1e-9)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.seconds = saved.get("seconds", 0.0)
