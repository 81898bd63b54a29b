"""The command as its user has it: an exit code and what is said about it."""

from __future__ import annotations

import io
import signal
from contextlib import redirect_stderr, redirect_stdout

from genlib.cli import main

PREFIXES = ("error: ", "failed: ", "diverged: ")


def called(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command; an exception is the test's."""
    error = io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with redirect_stderr(error), redirect_stdout(io.StringIO()):
            return main(arguments), error.getvalue()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def is_one_line(error: str) -> bool:
    return error.startswith(PREFIXES) and len(error.splitlines()) == 1
