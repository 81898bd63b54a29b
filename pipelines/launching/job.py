"""The training that a launcher starts, as one job; and how many processes it has."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from genlib.config.load import to_yaml
from genlib.config.run import RunConfig
from genlib.config.training import check_divisible
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.runtime.cores import cores
from genlib.runtime.interruption import stop_signals
from genlib.storage.files import write_bytes
from pipelines.launching.launch import Ended, Say
from pipelines.text import slug

ELASTIC = {  # environment of torchrun
    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "20",  # seconds from SIGTERM to SIGKILL of its workers, which must end before it
    # In torch 2.13, a node that comes back waits forever for an address that a survivor of rank 0 tells only once.
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


def passed_on() -> str:
    """The signals that torchrun passes on to its workers; under nohup without SIGHUP, which it would not ignore."""
    return ",".join(number.name for number in (signal.SIGQUIT, *stop_signals()))


class Job(NamedTuple):
    config: RunConfig
    config_file: Path
    run_dir: Path
    processes: int  # on all nodes together
    devices: dict[str, str]  # environment

    @property
    def name(self) -> str:
        """A name made of the run folder's, as DNS, Slurm and Kubernetes take names: short, and with a letter first."""
        path = hashlib.sha256(str(self.run_dir.absolute()).encode()).hexdigest()
        return f"genlib-{slug(self.run_dir.name)[-30:].strip('-')}-{path[:8]}"

    @property
    def processes_per_node(self) -> int:
        return self.processes // self.config.launcher.machines

    def engine(self) -> list[str]:
        """The arguments with which an interpreter, or torchrun, starts the engine."""
        return ["-m", "genlib", "train", str(self.config_file), "--run-dir", str(self.run_dir)]

    def node(self, endpoint: str, restarts: int, is_host: bool | None = None) -> list[str]:
        """torchrun as one node of several, with what it starts.

        A node that goes is waited for as long as processes wait for each other. Where `is_host` is None, the node
        whose name the endpoint has is the host.
        """
        waiting = f"join_timeout={int(self.config.training.timeout)}"
        address = ["--local-addr", endpoint.rpartition(":")[0]] if is_host else []
        return [
            *("-m", "torch.distributed.run"),
            *("--nnodes", str(self.config.launcher.machines), "--nproc-per-node", str(self.processes_per_node)),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", self.name, *address),
            *("--rdzv-conf", waiting if is_host is None else f"{waiting},is_host={is_host:d}"),
            *("--max-restarts", str(restarts), "--signals-to-handle", passed_on()),
            *self.engine(),
        ]


def train(config: RunConfig, run_dir: Path, devices: Mapping[str, str], say: Say) -> Ended:
    """Train, or go on, in `run_dir` where the configuration's launcher says; each line is passed to `say`.

    All machines that take part must see `run_dir` under the same path. `devices` is the environment in which processes
    of this machine see the devices that are theirs. UserError where the launcher cannot start the training.
    """
    folder = RunFolder(run_dir)
    folder.launch.mkdir(parents=True, exist_ok=True)
    config_file = folder.launch / "config.yaml"
    write_bytes(config_file, to_yaml(config).encode())
    job = Job(config, config_file, folder.path, processes_of(config), dict(devices))
    ended: Ended = config.launcher.train(job, say)
    return ended


def train_command(job: Job) -> list[str]:
    """The engine's command on this machine alone, by torchrun for several processes."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(job.processes)]
    torchrun += ["--signals-to-handle", passed_on()]
    return [sys.executable, *(torchrun if job.processes > 1 else []), *job.engine()]


def elastic_environment(processes: int) -> dict[str, str]:
    """Environment of torchrun: its own grace period within ours, and the cores divided among its processes."""
    return ELASTIC | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // processes)))}


def processes_of(config: RunConfig) -> int:
    """training.processes as a number; auto is one for each GPU of every node, or for each node where there is none."""
    asked, launcher = config.training.processes, config.launcher
    if asked != "auto":
        return asked
    if launcher.trains_elsewhere:
        gpus = launcher.gpus_of_a_machine if config.training.device == "auto" else 0
    else:
        gpus = len(gpus_for(config))
    processes = launcher.machines * max(1, gpus)
    try:
        check_divisible(config.training.batch_size, config.training.micro_batches or processes, processes)
    except ValueError as error:
        raise UserError(f"training.processes is auto, which is {processes} here: {error}") from error
    return processes


def processes_here(config: RunConfig) -> int:
    """Number of processes that use this machine's devices: 1, of the evaluation, where the training is elsewhere."""
    if config.launcher.trains_elsewhere:
        return 1
    return processes_of(config) // config.launcher.machines


def gpus_for(config: RunConfig) -> list[str]:
    """The GPUs of this machine that a training may use, as CUDA_VISIBLE_DEVICES names them."""
    return visible_gpus() if config.training.device == "auto" and torch.cuda.is_available() else []


def visible_gpus() -> list[str]:
    """The visible GPUs by UUID where the driver tells it: an index may mean another GPU to another process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
    return [uuids().get(name.strip(), name.strip()) for name in visible]


def uuids() -> dict[str, str]:
    """The UUIDs of the GPUs by index; CUDA counts so where all are alike, or with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
    try:
        command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return {index.strip(): uuid.strip() for index, _, uuid in (line.partition(",") for line in told.splitlines())}
