"""Training as a job of Slurm: submitted with sbatch, followed by its state and its log, cancelled with scancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.config.launcher import Launcher
from pipelines.launching.settings import GPUS, MOST_GPUS, MOST_NODES, MOST_RESTARTS, NODES, RESTARTS

if TYPE_CHECKING:
    from pipelines.launching.job import Job
    from pipelines.launching.launch import Ended, Say

WORD = r"^[\w.,:@+-]+$"


class SlurmLauncher(Launcher):
    """A job of Slurm, which saves a checkpoint before its time is over and queues again."""

    trains_elsewhere: ClassVar[bool] = True

    name: Literal["slurm"] = "slurm"
    nodes: int = Field(1, ge=1, le=MOST_NODES, description=NODES)
    restarts: int = Field(3, ge=0, le=MOST_RESTARTS, description=RESTARTS)
    gpus: int = Field(0, ge=0, le=MOST_GPUS, description=GPUS)
    partition: str | None = Field(None, pattern=WORD, description="Slurm partition; null: its default")
    account: str | None = Field(None, pattern=WORD, description="Slurm account that the time is charged to")
    hours: float | None = Field(
        None, ge=0.2, le=8784, description="Hours of one turn in the queue; null: the partition's limit"
    )
    options: list[Annotated[str, Field(pattern=r"^--\S[^\n]*$")]] = Field(
        [], description="Further options of sbatch, each --a=b"
    )
    setup: list[Annotated[str, Field(pattern=r"^[^\n]+$")]] = Field([], description="Shell lines before the training")
    python: str | None = Field(None, description="Interpreter on the machines; null: that of the flow")

    @property
    def machines(self) -> int:
        return self.nodes

    @property
    def gpus_of_a_machine(self) -> int:
        return self.gpus

    def train(self, job: Job, say: Say) -> Ended:
        from pipelines.launching.remote import attended
        from pipelines.launching.slurm import SlurmJob

        return attended(SlurmJob(self, job), say)
