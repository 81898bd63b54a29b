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

from genlib.data.workers import cores

TETHER = Path(__file__).with_name("tether.py")
GRACE = 25.0  # seconds from SIGTERM to SIGKILL; a Prefect worker leaves us 30
ELASTIC_GRACE = 20  # the same of torchrun and its workers, which must end first
PASSED_ON = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # from torchrun to its workers; the last is Slurm's warning
TAIL = 15  # lines kept for an error's message


class Ended(NamedTuple):
    code: int
    tail: list[str]
    blamed: str = ""  # what the engine found wrong with its input; torchrun says much more after it


def train_command(config_file: Path, run_dir: Path, processes: int) -> list[str]:
    """`python -m genlib train`, under torchrun for several processes."""
    engine = ["-m", "genlib", "train", str(config_file), "--run-dir", str(run_dir)]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    torchrun += ["--signals-to-handle", PASSED_ON]
    return [sys.executable, *(torchrun if processes > 1 else []), *engine]


def evaluate_command(run_dir: Path) -> list[str]:
    return [sys.executable, "-m", "genlib", "evaluate", str(run_dir)]


def train_environment(processes: int) -> dict[str, str]:
    """For torchrun: its own grace within ours, and the cores shared out over its processes."""
    if processes == 1:
        return {}
    return {
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(ELASTIC_GRACE),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // processes))),
    }


def run_process(
    command: Sequence[str], say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end in our process group, passing each line of its output to `say`.

    Whatever interrupts us ends it too: SIGTERM first, SIGKILL after GRACE seconds.
    """
    tail: deque[str] = deque(maxlen=TAIL)
    blamed: deque[str] = deque([""], maxlen=1)

    def pass_on(line: str) -> None:
        if line.strip():
            tail.append(line.rstrip())
            say(line.rstrip())
        if line.startswith("error: "):
            blamed.append(line.removeprefix("error: ").rstrip())

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
            pass_on(line)
        process.wait()
    finally:
        if process.poll() is None:
            for line in end(process).splitlines():
                pass_on(line)
        process.stdout.close()
    return Ended(process.returncode, list(tail), blamed[0])


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
