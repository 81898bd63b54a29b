"""Training as a child of this process; several processes by torchrun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.config.launcher import Launcher

if TYPE_CHECKING:
    from pipelines.launching.job import Job
    from pipelines.launching.launch import Ended, Say


class ProcessLauncher(Launcher):
    """Processes of this machine, as children of the flow."""

    name: Literal["process"] = "process"

    def train(self, job: Job, say: Say) -> Ended:
        from pipelines.launching.job import elastic_environment, train_command
        from pipelines.launching.launch import run_process

        environment = job.devices | (elastic_environment(job.processes) if job.processes > 1 else {})
        return run_process(train_command(job), say, environment)
