"""Where the pipeline's training processes run, and how they are started; no matter which, the model is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from genlib.choices.section import Section

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

MOST_NODES = 10_000
NODES = "Machines that share training.processes evenly"
RESTARTS = "How often torchrun starts all processes again when one died, or a machine went and came back"
GPUS = "GPUs of a machine"
QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
WORD = r"^[\w.,:@+-]+$"


class ProcessLauncher(Section):
    """Processes of this machine, as children of the flow."""

    name: Literal["process"] = "process"

    @property
    def nodes(self) -> int:
        return 1


class TorchrunLauncher(Section):
    """This machine as one of several; on each of the others, the command that the log shows is run by hand."""

    name: Literal["torchrun"] = "torchrun"
    nodes: int = Field(2, ge=1, le=MOST_NODES, description=NODES)
    endpoint: str = Field(pattern=r"^[\w.-]+:\d+$", description="HOST:PORT of this machine, where the others find it")
    restarts: int = Field(3, ge=0, le=10_000, description=RESTARTS)


class SlurmLauncher(Section):
    """A job of Slurm, which saves a checkpoint before its time is over and queues again."""

    name: Literal["slurm"] = "slurm"
    nodes: int = Field(1, ge=1, le=MOST_NODES, description=NODES)
    restarts: int = Field(3, ge=0, le=10_000, description=RESTARTS)
    gpus: int = Field(0, ge=0, le=1024, description=GPUS)
    partition: str | None = Field(None, pattern=WORD, description="Slurm partition; null: its default")
    account: str | None = Field(None, pattern=WORD, description="Slurm account that the time is charged to")
    hours: float | None = Field(
        None, ge=0.2, le=8784, description="Hours of one turn in the queue; null: the partition's limit"
    )
    options: list[Annotated[str, Field(pattern=r"^--\S[^\n]*$")]] = Field([], description="More of sbatch, each --a=b")
    setup: list[Annotated[str, Field(pattern=r"^[^\n]+$")]] = Field([], description="Shell lines before the training")
    python: str | None = Field(None, description="Interpreter on the machines; null: that of the flow")


class KubernetesLauncher(Section):
    """A TrainJob of Kubeflow Trainer v2; the run folder lies on a volume that its pods and the flow share."""

    name: Literal["kubernetes"] = "kubernetes"
    nodes: int = Field(1, ge=1, le=MOST_NODES, description=NODES)
    restarts: int = Field(3, ge=0, le=10_000, description=RESTARTS)
    gpus: int = Field(0, ge=0, le=1024, description=GPUS)
    image: str = Field(pattern=r"^\S+$", description="With genlib installed, as infra/Dockerfile makes it")
    claim: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", description="PersistentVolumeClaim that holds GENLIB_HOME")
    mount_path: str = Field("/genlib", pattern=r"^/\S*$", description="Where it is mounted, the same as for the flow")
    namespace: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]*$", description="Of the TrainJob")
    runtime: str = Field("torch-distributed", pattern=r"^[a-z0-9][a-z0-9.-]*$", description="ClusterTrainingRuntime")
    queue: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]*$", description="LocalQueue of Kueue")
    node_selector: dict[str, str] = Field({}, description="Labels of the machines that will do")
    cpu: str | None = Field(None, pattern=QUANTITY, description="Limit of a machine's pod")
    memory: str | None = Field(None, pattern=QUANTITY, description="Limit of a machine's pod")
    shared_memory: str = Field("8Gi", pattern=QUANTITY, description="Size of /dev/shm")


LauncherConfig = Annotated[
    ProcessLauncher | TorchrunLauncher | SlurmLauncher | KubernetesLauncher, Field(discriminator="name")
]


def nodes_share_the_processes(config: RunConfig) -> str | None:
    """training.processes are those of all nodes together, equally many on each."""
    processes, nodes = config.training.processes, config.launcher.nodes
    if processes == "auto" or processes % nodes == 0:
        return None
    return (
        f"training.processes ({processes}) must be divisible by launcher.nodes ({nodes}), which share them; use "
        f"{-(-processes // nodes) * nodes}, or auto."
    )
