"""Launchers: how the pipeline starts the training's processes, and where. The model is the same with each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from genlib.choices.choice import Choice
from genlib.choices.discovery import choices_of_kind

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


class Launcher(Choice):
    """A way to start the training's processes. The choices lie in the pipelines, which are not imported here."""

    folder: ClassVar[str] = "pipelines.launchers"
    noun: ClassVar[str] = "launcher"
    trains_elsewhere: ClassVar[bool] = False  # on the machines of a scheduler, not on this one

    @property
    def machines(self) -> int:
        """Number of machines that share training.processes evenly."""
        return 1

    @property
    def gpus_of_a_machine(self) -> int:
        """Number of GPUs that each machine gives to the training, where it trains elsewhere."""
        return 0

    @abstractmethod
    def train(self, job: Any, say: Callable[[str], None]) -> Any:
        """Train, or go on, in the job's run folder: (pipelines.launching.job.Job) => pipelines.launching.launch.Ended.

        Each line of the training's output is passed to `say`. An interruption of this process asks the training to save
        a checkpoint and end. UserError where the launcher cannot start what the settings describe.
        """


def launcher_by_hand() -> Launcher:
    """The launcher of a training that somebody has started without the pipeline."""
    return choices_of_kind(Launcher)["process"](name="process")


def nodes_share_the_processes(config: RunConfig) -> str | None:
    """training.processes are those of all nodes together, equally many on each."""
    processes, nodes = config.training.processes, config.launcher.machines
    if processes == "auto" or processes % nodes == 0:
        return None
    return (
        f"training.processes ({processes}) must be divisible by launcher.nodes ({nodes}), which share them; use "
        f"{-(-processes // nodes) * nodes}, or auto."
    )
