"""Training on this machine and others, each with an agent of torchrun that a person, or a service, has started there.

The agents meet at this machine. When a process or another machine dies, all the others are started again from the last
checkpoint once everybody is back; when this machine's agent ends, so do the others, as nobody is there to meet.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genlib.config.launcher import Launcher
from pipelines.launching.settings import MOST_NODES, MOST_RESTARTS, NODES, RESTARTS

if TYPE_CHECKING:
    from pipelines.launching.job import Job
    from pipelines.launching.launch import Ended, Say


class TorchrunLauncher(Launcher):
    """Several machines, this one among them; on each of the others, the command that the log shows is run by hand."""

    name: Literal["torchrun"] = "torchrun"
    nodes: int = Field(2, ge=1, le=MOST_NODES, description=NODES)
    endpoint: str = Field(pattern=r"^[\w.-]+:\d+$", description="HOST:PORT of this machine, where the others find it")
    restarts: int = Field(3, ge=0, le=MOST_RESTARTS, description=RESTARTS)

    @property
    def machines(self) -> int:
        return self.nodes

    def train(self, job: Job, say: Say) -> Ended:
        from pipelines.launching.job import ELASTIC, elastic_environment
        from pipelines.launching.launch import run_process

        if self.nodes > 1:
            settings = [f"{name}={value}" for name, value in ELASTIC.items()]
            others = shlex.join(["env", *settings, "python", *job.node(self.endpoint, self.restarts, is_host=False)])
            say(f"on each of the {self.nodes - 1} other machines: {others}")
        command = [sys.executable, *job.node(self.endpoint, self.restarts, is_host=True)]
        return run_process(command, say, job.devices | elastic_environment(job.processes_per_node))
