from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from genlib.config.load import load_config
from pipelines.launching import launch
from pipelines.launching.job import Job, passed_on, train_command
from pipelines.launching.launch import run_process

# Says that it is ready, then waits to be told to end, and says so.
PATIENT = """
import signal, sys
def leave(number, frame):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
signal.pause()
"""
STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", os.getpid(), flush=True)
while True: signal.pause()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_lines_are_passed_on_as_they_come_and_the_last_ones_kept() -> None:
    said: list[str] = []
    ended = run_process(
        python("import sys\nfor i in range(100): print(i)\nprint('x', file=sys.stderr)\nexit(3)"), said.append
    )
    assert ended.code == 3
    assert said == [*map(str, range(100)), "x"]
    assert ended.tail == said[-launch.TAIL :]


def test_the_child_stays_in_our_process_group() -> None:
    said: list[str] = []
    run_process(python("import os; print(os.getpgrp())"), said.append)
    assert said == [str(os.getpgrp())]


class Stop(BaseException):
    """As Prefect's TerminationSignal: no Exception."""


def stop_when_ready(said: list[str]) -> Callable[[str], None]:
    def say(line: str) -> None:
        said.append(line)
        if line.startswith("ready"):
            raise Stop

    return say


def test_an_interruption_asks_the_child_to_end_and_hears_its_last_words() -> None:
    said: list[str] = []
    with pytest.raises(Stop):
        run_process(python(PATIENT), stop_when_ready(said))
    assert said == ["ready", "saved"]


def test_a_child_that_does_not_listen_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "GRACE", 0.5)
    said: list[str] = []
    with pytest.raises(Stop):
        run_process(python(f"import subprocess\nsubprocess.run({python(STUBBORN)!r})"), stop_when_ready(said))
    grandchild = int(said[0].split()[1])
    while psutil.pid_exists(grandchild) and psutil.Process(grandchild).status() != psutil.STATUS_ZOMBIE:
        pass  # pytest's own limit ends this where the kill never came


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_child_is_told_to_end_when_its_parent_is_killed(tmp_path: Path) -> None:
    words = tmp_path / "words"
    patient = PATIENT.replace('print("saved", flush=True)', f"open({str(words)!r}, 'w').write('saved')")
    code = f"""
from pipelines.launching.launch import run_process
run_process({python(patient)!r}, lambda line: print(line, flush=True))
"""
    parent = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
    (child,) = psutil.Process(parent.pid).children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([child], timeout=30)
    assert words.read_text() == "saved"
    parent.stdout.close()


def test_several_processes_are_started_by_torchrun_and_one_without() -> None:
    job = Job(load_config("configs/vae_digits.yaml"), Path("c.yaml"), Path("run"), 1, {})
    alone = train_command(job)
    assert alone == [sys.executable, "-m", "genlib", "train", "c.yaml", "--run-dir", "run"]
    several = train_command(job._replace(processes=2))
    assert several[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert several[6:8] == ["--signals-to-handle", passed_on()]
    assert several[8:] == alone[1:]


def test_torchrun_passes_on_what_ends_a_training_and_under_nohup_no_closed_terminal() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert set(passed_on().split(",")) == {"SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGHUP"}
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert set(passed_on().split(",")) == {"SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1"}
    finally:
        signal.signal(signal.SIGHUP, former)
