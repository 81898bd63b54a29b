"""The signals that ask a command to end: SIGTERM, Ctrl-C, Slurm's warning, and a closed terminal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from genlib.runtime.launched import is_first_process

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)  # SIGUSR1: Slurm, before a job's time is over


class Left(SystemExit):
    """The command ends because of a signal, by way of every `finally`; its code is 128 + the signal's number."""


def stop_signals() -> tuple[signal.Signals, ...]:
    """STOPS, without SIGHUP in a process that was started to ignore it, as by nohup: it is to go on."""
    hung_up_on = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return tuple(number for number in STOPS if number != signal.SIGHUP or hung_up_on)


@contextmanager
def leaving_on_signals(remark: str) -> Iterator[None]:
    """Inside, a stop signal raises Left, after which `remark` is printed; outside, all is as before.

    Signals reach the main thread alone: in another one nothing is changed.
    """
    is_main = threading.current_thread() is threading.main_thread()
    former = {number: signal.signal(number, leave) for number in stop_signals()} if is_main else {}
    try:
        yield
    except Left:
        if is_first_process():
            print(remark, file=sys.stderr)
        raise
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def leave(number: int, frame: FrameType | None) -> NoReturn:
    """A signal handler that raises Left. What follows the first signal does not disturb the cleaning up, but Ctrl-C
    does.
    """
    for other in stop_signals():
        signal.signal(other, signal.SIG_DFL if other == signal.SIGINT else signal.SIG_IGN)
    raise Left(128 + number)
