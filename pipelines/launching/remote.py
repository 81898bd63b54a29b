"""A job that a cluster's scheduler runs: submitted, followed and cancelled from here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from genlib.errors import UserError
from pipelines.launching.launch import GRACE, Ended, Lines, Say

INTERVAL = 5.0  # seconds between two questions to a scheduler


class NoAnswer(Exception):
    """The scheduler does not answer; the job goes on without it."""


class JobState(NamedTuple):
    state: str  # in the scheduler's words
    code: int | None = None  # once it has ended


class Remote(Protocol):
    def submit(self) -> str:
        """Start the job, or find the one that a former flow had started; returns its name for messages."""

    def state(self) -> JobState:
        """The job's present state; raises NoAnswer."""

    def lines(self) -> Iterator[str]:
        """The lines of output since the last call; raises NoAnswer."""

    def cancel(self) -> None:
        """Ask the job to save a checkpoint and end."""


def attended(remote: Remote, say: Say) -> Ended:
    """Submit a job and follow it to its end. An interruption cancels it, and waits GRACE seconds for its last lines."""
    lines, name = Lines(say), ""
    try:
        name = remote.submit()
        return followed(remote, name, lines, None)
    except UserError:  # it was not taken
        raise
    except BaseException:
        until = time.monotonic() + GRACE
        cancel(remote, until)
        if name:
            followed(remote, name, lines, until)
        raise


def cancel(remote: Remote, until: float) -> None:
    while time.monotonic() < until:
        try:
            return remote.cancel()
        except NoAnswer:
            time.sleep(0.5)


def followed(remote: Remote, name: str, lines: Lines, until: float | None) -> Ended:
    shown = ""
    while True:
        try:
            now = remote.state()
            for line in remote.lines():
                lines.pass_on(line)
        except NoAnswer as reason:
            now = JobState(f"not known, as its scheduler does not answer ({reason})")
        if now.state != shown:
            lines.say(f"{name} is {now.state}")
            shown = now.state
        if now.code is not None or (until is not None and time.monotonic() > until):
            return Ended(now.code or 0, list(lines.tail), lines.blamed)
        time.sleep(INTERVAL if until is None else 0.5)


class LogFile:
    """A file that grows, read in whole lines."""

    def __init__(self, path: Path) -> None:
        self.path, self.read = path, 0

    def lines(self) -> Iterator[str]:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.read)
                for line in file:
                    if line.endswith(b"\n"):
                        self.read += len(line)
                        yield line.decode(errors="replace")
