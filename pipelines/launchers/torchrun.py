"""Training on this machine and others, each with an agent of torchrun that a person, or a service, has started there.

The agents meet at this machine. When a process or another machine dies, all the others are started again from the last
checkpoint once everybody is back; when this machine's agent ends, so do the others, as nobody is there to meet.
"""

from __future__ import annotations

import shlex
import sys

from genlib.config.launcher import TorchrunLauncher
from pipelines.launchers.process import elastic_environment
from pipelines.launching.job import ELASTIC, Job
from pipelines.launching.launch import Ended, Say, run_process


def train(job: Job, say: Say) -> Ended:
    launcher = job.config.launcher
    assert isinstance(launcher, TorchrunLauncher)
    if launcher.nodes > 1:
        settings = [f"{name}={value}" for name, value in ELASTIC.items()]
        others = shlex.join(
            ["env", *settings, "python", *job.node(launcher.endpoint, launcher.restarts, is_host=False)]
        )
        say(f"on each of the {launcher.nodes - 1} other machines, from the project's folder: {others}")
    command = [sys.executable, *job.node(launcher.endpoint, launcher.restarts, is_host=True)]
    return run_process(command, say, job.devices | elastic_environment(job.processes_per_node))
