"""Training as a child of this process; several processes by torchrun."""

from __future__ import annotations

import os
import sys

from genlib.runtime.capacity import cores
from pipelines.launching.job import ELASTIC, Job, passed_on
from pipelines.launching.launch import Ended, Say, run_process


def train(job: Job, say: Say) -> Ended:
    environment = job.devices | (elastic_environment(job.processes) if job.processes > 1 else {})
    return run_process(train_command(job), say, environment)


def train_command(job: Job) -> list[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.processes)]
    torchrun += ["--signals-to-handle", passed_on()]
    return [sys.executable, *(torchrun if job.processes > 1 else []), *job.engine()]


def elastic_environment(processes: int) -> dict[str, str]:
    """For torchrun: its own grace within ours, and the cores shared out over its processes."""
    return ELASTIC | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // processes)))}
