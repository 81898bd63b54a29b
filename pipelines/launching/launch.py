"""The engine as a process of its own: its lines are passed on as they come, and it never outlives this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

TETHER = Path(__file__).with_name("tether.py")
GRACE = 25.0  # seconds from SIGTERM to SIGKILL; a Prefect worker leaves us 30
TAIL = 15  # lines kept for an error's message

Say = Callable[[str], None]


class Ended(NamedTuple):
    code: int
    tail: list[str]
    blamed: str = ""  # what the engine found wrong with its input; torchrun says much more after it


def evaluate_command(run_dir: Path) -> list[str]:
    return [sys.executable, "-m", "genlib", "evaluate", str(run_dir)]


class Lines:
    """A process's lines on their way: passed on, the last ones kept, and those that blame its input noted."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.blamed = ""

    def pass_on(self, line: str) -> None:
        if line.strip():
            self.tail.append(line.rstrip())
            self.say(line.rstrip())
        if line.startswith("error: "):
            self.blamed = line.removeprefix("error: ").rstrip()


def run_process(command: Sequence[str], say: Say, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end in our process group, passing each line of its output to `say`.

    Whatever interrupts us ends it too: SIGTERM first, SIGKILL after GRACE seconds.
    """
    lines = Lines(say)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        close_fds=False,  # the locks of GPUs are made to be inherited
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(environment or {}),
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.pass_on(line)
        process.wait()
    finally:
        if process.poll() is None:
            for line in end(process).splitlines():
                lines.pass_on(line)
        process.stdout.close()
    return Ended(process.returncode, list(lines.tail), lines.blamed)


def end(process: subprocess.Popen[str]) -> str:
    """SIGTERM; SIGKILL to it and its descendants where some are there after GRACE. Returns what it still said."""
    family = family_of(process.pid)  # now: they would be harder to find once their parent is gone
    process.terminate()
    try:
        return process.communicate(timeout=GRACE)[0]
    except subprocess.TimeoutExpired:
        return ""
    finally:
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def family_of(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return []
