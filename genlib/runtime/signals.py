"""A signal to stop is a request that all ranks learn of at the same step boundary."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from datetime import timedelta
from types import FrameType
from typing import Any, Self

import torch
import torch.distributed as dist

from genlib.runtime.interruption import stop_signals

PR_SET_PDEATHSIG = 1


def stop_with_parent() -> None:
    """Ask the kernel for SIGTERM when the process that started this one dies (Linux): torchrun's workers would outlive
    it otherwise.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Interrupted(Exception):
    """The processes agreed to stop in the middle of work that can be repeated."""


class StopRequest:
    """Inside `with StopRequest(timeout) as stop:`, `stop.agreed()` tells all ranks alike whether one was asked to stop.

    The ranks exchange their flags in the background, over gloo: what one step starts the next one reads, so that
    neither the device nor a slow rank is waited for. A second SIGINT interrupts at once.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timedelta(seconds=timeout)  # of the exchange
        self.signal: int | None = None
        self._handlers: dict[int, Any] = {}
        self._group: Any = None
        self._flag = torch.zeros(1)
        self._exchange: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in stop_signals():
                self._handlers[number] = signal.signal(number, self._note)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(backend="gloo", timeout=self.timeout)
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if self._exchange is not None and failed is None:
            self._exchange.wait()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number

    def agreed(self) -> bool:
        """Call at each step boundary, on every rank equally often."""
        if self._group is None:
            return self.signal is not None
        asked = False
        if self._exchange is not None:
            self._exchange.wait()
            asked = bool(self._flag)
        self._flag = torch.tensor([0.0 if self.signal is None else 1.0])
        self._exchange = dist.all_reduce(self._flag, dist.ReduceOp.MAX, self._group, async_op=True)
        return asked

    @property
    def exit_code(self) -> int:
        """The shell's convention, 128 + signal; SIGTERM's where another rank got the signal."""
        return 128 + (self.signal or signal.SIGTERM)
