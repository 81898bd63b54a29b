"""Standard output and standard error that cannot be written: nothing fails, and what was lost is counted."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from genlib.runtime import output
from tests.conftest import PROJECT

PROGRAM = "from genlib.runtime.output import lost_lines, protect_output; import sys; protect_output(); "
FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="the device that is always full is Linux's")


def python(code: str, redirections: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A program that begins with protected output, under a shell's redirections."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, PROGRAM + code],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@needs_full
def test_lines_that_a_full_disk_does_not_take_are_counted_and_end_nothing() -> None:
    done = python(
        "print('a\\nb', flush=True); print('c'); sys.stdout.flush(); print(lost_lines(), file=sys.stderr)", ">/dev/full"
    )
    assert (done.returncode, done.stderr) == (0, "3\n")


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_no_file_gets_the_number_of_a_descriptor_that_was_closed(redirections: str) -> None:
    code = "print('out', flush=True); print('err', file=sys.stderr); sys.exit(open('pyproject.toml').fileno())"
    assert python(code, redirections).returncode > 2


def test_a_pipe_whose_reader_has_gone_ends_nothing_and_is_no_reason_to_complain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, into = os.pipe()
    os.close(out)
    stream = output._protected(into, None)
    print("line", file=stream, flush=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert output.lost_lines() == 1 and output.reason_of_loss(stream) is None
    os.close(into)


def test_a_character_that_the_encoding_lacks_is_escaped() -> None:
    done = python("print('4.07 \\u00b1 0.18', '\\udcff')", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "4.07 \\xb1 0.18 \\udcff\n")


@pytest.fixture
def pipe() -> Callable[[], str]:
    """A protected stream over a pipe, and what has come out of the pipe."""
    out, into = os.pipe()
    yield output._protected(into, None), lambda: os.read(out, 1 << 20).decode()
    os.close(out)
    os.close(into)


def test_what_was_lost_is_said_once_there_is_room_again(pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, read = pipe

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    print("first", file=stream, flush=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for _ in range(3):
            print("lost", file=stream, flush=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert output.lost_lines() == 3
    assert output.reason_of_loss(stream) == "No space left on device"
    print("last", file=stream, flush=True)
    print("more", file=stream, flush=True)
    note = "note: 3 lines of output could not be written here (No space left on device).\n"
    assert read() == f"first\n{note}last\nmore\n"
    assert output.lost_lines() == 3


def test_a_terminal_that_another_program_made_non_blocking_is_waited_for() -> None:
    out, into = os.pipe()
    os.set_blocking(into, False)
    stream, came = output._protected(into, None), []
    text = "x" * 200_000  # more than a pipe holds
    writer = threading.Thread(target=print, args=(text,), kwargs={"file": stream, "flush": True})
    writer.start()
    while sum(map(len, came)) <= len(text):
        came.append(os.read(out, 1 << 16))
    writer.join(timeout=10)
    assert b"".join(came).decode() == text + "\n"
    os.close(out)
    os.close(into)
