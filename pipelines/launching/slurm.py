"""A job of Slurm: submitted with sbatch, followed by its state and its log, cancelled with scancel."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from genlib.errors import UserError
from genlib.storage.files import write_bytes
from pipelines.launching.job import ELASTIC, Job
from pipelines.launching.remote import JobState, LogFile, NoAnswer

if TYPE_CHECKING:
    from pipelines.launchers.slurm import SlurmLauncher

TEMPLATE = Template(Path(__file__).with_name("slurm.sh").read_text())
ENDPOINT = '"$head:$port"'  # known to the script alone
ENDED = {"COMPLETED": 0, "FAILED": 1, "CANCELLED": 143, "TIMEOUT": 1, "OUT_OF_MEMORY": 137, "DEADLINE": 1}
ENDED |= {"BOOT_FAIL": 1, "NODE_FAIL": 1, "PREEMPTED": 143}


class SlurmJob:
    def __init__(self, launcher: SlurmLauncher, job: Job) -> None:
        self.launcher, self.job = launcher, job
        self.number = ""
        self.script = job.config_file.with_name("job.sh")

    def submit(self) -> str:
        self.number = self._queued() or self._submitted()
        self.log = LogFile(self.script.with_name(f"slurm-{self.number}.log"))
        return f"Slurm's job {self.number}"

    def _queued(self) -> str:
        """The number of a job that a killed flow left behind, to be followed; "" where there is none."""
        return slurm("squeue", "--me", "--noheader", "--name", self.job.name, "--format", "%i").partition("\n")[0]

    def _submitted(self) -> str:
        write_bytes(self.script, rendered(self.launcher, self.job).encode())
        try:
            return slurm("sbatch", "--parsable", str(self.script)).partition(";")[0]
        except NoAnswer as error:
            raise UserError(f"Slurm did not take the job: {error}; mend the section launcher.") from error

    def state(self) -> JobState:
        """The state as the controller has it, or, minutes after the end, the accounting."""
        try:
            told = slurm("scontrol", "show", "job", "--oneliner", self.number)
            found = re.search(r"JobState=(\w+) Reason=(\S+)", told)
            code = re.search(r" ExitCode=(\d+):", told)
        except NoAnswer as error:
            if "Invalid job id" not in str(error):
                raise
            told = slurm("sacct", "-nPX", "--format", "State,Reason,ExitCode", "-j", self.number)
            found = re.search(r"(\w+)[^|]*\|([^|]*)", told)
            code = re.search(r"\|(\d+):", told)
        if found is None or code is None:
            raise NoAnswer(f"it says {told!r} of job {self.number}")
        state, reason = found.groups()
        if state not in ENDED:
            return JobState(f"{state} ({reason})" if state == "PENDING" else state)
        return JobState(state, int(code[1]) or ENDED[state])

    def lines(self) -> Iterator[str]:
        return self.log.lines()

    def cancel(self) -> None:
        slurm("scancel", "--me", "--name", self.job.name)


def rendered(launcher: SlurmLauncher, job: Job) -> str:
    """The script for sbatch."""
    options = {
        "job-name": job.name,
        "nodes": launcher.nodes,
        "partition": launcher.partition,
        "account": launcher.account,
        "time": launcher.hours and math.ceil(launcher.hours * 60),
        "gpus-per-node": launcher.gpus or None,
        "output": shlex.quote(str(job.config_file.with_name("slurm-%j.log"))),
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    words = [launcher.python or sys.executable, *job.node("ENDPOINT", launcher.restarts)]
    return TEMPLATE.substitute(
        options="\n".join(f"#SBATCH {option}" for option in [*given, *launcher.options]),
        setup="\n".join(launcher.setup),
        environment=" ".join(f"{name}={value}" for name, value in ELASTIC.items()),
        command=shlex.join(words).replace(" ENDPOINT ", f" {ENDPOINT} "),
    )


def slurm(*words: str) -> str:
    """The output of one of Slurm's commands; NoAnswer with what it said where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise UserError(
            f"launcher.name is slurm, but {words[0]} is not installed here; install Slurm's client."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{words[0]} took longer than {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise NoAnswer(" ".join(done.stderr.split()) or f"{words[0]} ended with {done.returncode}")
    return done.stdout.strip()
