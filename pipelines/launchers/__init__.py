"""Training where the configuration's `launcher` says: one module a launcher, one contract for all.

Each starts `genlib train` for a run folder, passes its lines on, tells how it ended, and takes an interruption of this
process as the order to save a checkpoint and end. What came out stands in the run folder, wherever it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from genlib.config.load import to_yaml
from genlib.config.run import RunConfig
from genlib.runs.folder import RunFolder
from genlib.storage.files import write_bytes
from pipelines.launchers import kubernetes, process, slurm, torchrun
from pipelines.launching.job import Job, processes_of
from pipelines.launching.launch import Ended, Say

LAUNCHERS: dict[str, Callable[[Job, Say], Ended]] = {
    "process": process.train,
    "torchrun": torchrun.train,
    "slurm": slurm.train,
    "kubernetes": kubernetes.train,
}


def train(config: RunConfig, run_dir: Path, devices: Mapping[str, str], say: Say) -> Ended:
    """Train, or go on, in `run_dir`, which all machines that take part must see under the same path.

    `devices` is the environment in which processes here see the devices that are theirs.
    """
    folder = RunFolder(run_dir)
    folder.launch.mkdir(parents=True, exist_ok=True)
    config_file = folder.launch / "config.yaml"
    write_bytes(config_file, to_yaml(config).encode())
    job = Job(config, config_file, folder.path, processes_of(config), dict(devices))
    return LAUNCHERS[config.launcher.name](job, say)
