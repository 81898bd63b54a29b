"""Training as a TrainJob of Kubeflow Trainer v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.config.launcher import Launcher
from pipelines.launching.settings import GPUS, MOST_GPUS, MOST_NODES, MOST_RESTARTS, NODES, RESTARTS

if TYPE_CHECKING:
    from pipelines.launching.job import Job
    from pipelines.launching.launch import Ended, Say

NAME = r"^[a-z0-9][a-z0-9.-]*$"
QUANTITY = r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


class KubernetesLauncher(Launcher):
    """A TrainJob of Kubeflow Trainer v2; the run folder lies on a volume that its pods and the flow share."""

    trains_elsewhere: ClassVar[bool] = True

    name: Literal["kubernetes"] = "kubernetes"
    nodes: int = Field(1, ge=1, le=MOST_NODES, description=NODES)
    restarts: int = Field(3, ge=0, le=MOST_RESTARTS, description=RESTARTS)
    gpus: int = Field(0, ge=0, le=MOST_GPUS, description=GPUS)
    image: str = Field(pattern=r"^\S+$", description="Image with genlib installed, as infra/Dockerfile makes it")
    claim: str = Field(pattern=NAME, description="PersistentVolumeClaim that holds GENLIB_HOME")
    mount_path: str = Field(
        "/genlib", pattern=r"^/\S*$", description="Folder where the claim is mounted, the same as for the flow"
    )
    namespace: str = Field("default", pattern=r"^[a-z0-9][a-z0-9-]*$", description="Namespace of the TrainJob")
    runtime: str = Field("torch-distributed", pattern=NAME, description="ClusterTrainingRuntime")
    queue: str | None = Field(None, pattern=NAME, description="LocalQueue of Kueue")
    node_selector: dict[str, str] = Field({}, description="Labels that a machine must have")
    cpu: str | None = Field(None, pattern=QUANTITY, description="Limit of a machine's pod")
    memory: str | None = Field(None, pattern=QUANTITY, description="Limit of a machine's pod")
    shared_memory: str = Field("8Gi", pattern=QUANTITY, description="Size of /dev/shm")

    @property
    def machines(self) -> int:
        return self.nodes

    @property
    def gpus_of_a_machine(self) -> int:
        return self.gpus

    def train(self, job: Job, say: Say) -> Ended:
        from pipelines.launching.kubernetes import TrainJob, check_mounted
        from pipelines.launching.remote import attended

        check_mounted(self, job)
        return attended(TrainJob(self, job), say)
