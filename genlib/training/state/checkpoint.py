"""Checkpoints: everything that training continues from, whole or absent.

A checkpoint is the folder checkpoints/step-NNNNNNNN: method.safetensors, average.safetensors, optimizers.safetensors
and, written last, state.json, which has a SHA-256 of each. No generator's state is in it: batches and draws are
functions of the step. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.models.base import GenerativeModel, Method
from genlib.runs.checkpoints import STATE, checkpoint_path, finished_checkpoints, step_of
from genlib.runs.folder import RunFolder
from genlib.storage.files import (
    read_json,
    remove_folder,
    sha256_of_file,
    sha256_of_json,
    sync,
    whole_folder,
    write_json,
)
from genlib.storage.tensors import load_tensors, load_weights
from genlib.training.settle import spec_of

METHOD, AVERAGE, OPTIMIZERS = "method.safetensors", "average.safetensors", "optimizers.safetensors"

Optimizers = dict[str, torch.optim.Optimizer]


@dataclass
class Progress:
    """How far training has come; images and seconds count all attempts at the run."""

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    evaluated: int = 0  # the last step that was evaluated
    metric: str | None = None  # what the best is judged by
    best_step: int = 0
    best_value: float | None = None
    last_value: float | None = None
    skipped: int = 0  # steps with an update that was left out, in windows that have ended, of abandoned courses too
    recently_skipped: dict[str, list[int]] = field(default_factory=dict)  # those of the present window, by phase
    rollbacks: list[dict[str, Any]] = field(default_factory=list)  # each with its evidence
    unlogged: dict[str, list[float]] = field(default_factory=dict)  # sums and counts of losses between two log lines
    signs: dict[str, list[int]] = field(default_factory=dict)  # of collapse, to the steps from and to which each stood


class Snapshot(NamedTuple):
    """A checkpoint in host memory; on a GPU its tensors are whole once `ready` has come."""

    progress: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]  # by file
    ready: torch.cuda.Event | None


def take_snapshot(progress: Progress, method: Method, average: nn.Module, optimizers: Optimizers) -> Snapshot:
    """Copies that later steps do not change; the device is not waited for."""
    tensors = {
        METHOD: method.state_dict(),
        AVERAGE: average.state_dict(),
        OPTIMIZERS: dict(optimizer_tensors(optimizers)),
    }
    copies = {file: {name: host_copy(tensor) for name, tensor in named.items()} for file, named in tensors.items()}
    on_gpu = next(method.parameters()).is_cuda
    return Snapshot(asdict(progress), copies, torch.cuda.current_stream().record_event() if on_gpu else None)


def host_copy(tensor: Tensor) -> Tensor:
    """Contiguous, as safetensors wants them, which knows no channels_last."""
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return copy.copy_(tensor.detach(), non_blocking=True)


def optimizer_tensors(optimizers: Optimizers) -> Iterator[tuple[str, Tensor]]:
    """<phase>/<number of the parameter>/<name>: all that changes in an optimizer; the rest is configuration."""
    for phase, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            yield from ((f"{phase}/{number}/{name}", value) for name, value in state.items())


def save_checkpoint(folder: Path, snapshot: Snapshot, keep: int, last_good: int = 0) -> Path:
    """Write beside, sync, rename; then remove all but the newest `keep`, and the newest of step `last_good` or before.

    OSError where the disk does not take it: what was there before is still there.
    """
    if snapshot.ready is not None:
        snapshot.ready.synchronize()
    final = checkpoint_path(folder, snapshot.progress["step"])
    folder.mkdir(exist_ok=True)  # without its parents: a run folder that was removed is not made again
    with whole_folder(final) as partial:  # there already where a step is reached once more after a stop
        digests = {name: write_tensors(partial / name, tensors) for name, tensors in snapshot.tensors.items()}
        write_state(partial, snapshot.progress, digests)
    prune(folder, keep, last_good)
    return final


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> str:
    """Returns the file's SHA-256."""
    content = safetensors.torch.save(tensors)
    file.write_bytes(content)
    sync(file)
    return hashlib.sha256(content).hexdigest()


def write_state(checkpoint: Path, progress: dict[str, Any], digests: dict[str, str]) -> None:
    content = {"progress": progress, "sha256": digests}
    write_json(checkpoint / STATE, content | {"checksum": sha256_of_json(content)})


def prune(folder: Path, keep: int, last_good: int) -> None:
    finished = finished_checkpoints(folder)
    good = [checkpoint for checkpoint in finished if step_of(checkpoint) <= last_good][-1:]
    for old in finished[:-keep]:
        if old not in good:
            remove_folder(old)


def damage_of(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint's files, if anything is."""
    try:
        state = read_json(checkpoint / STATE)
        if state.pop("checksum") != sha256_of_json(state):
            return f"{STATE} has changed since it was written"
        for name, digest in state["sha256"].items():
            if sha256_of_file(checkpoint / name) != digest:
                return f"{name} has changed since it was written"
        Progress(**state["progress"])
    except OSError as error:
        return f"{Path(error.filename or checkpoint).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{STATE} is not what a checkpoint has ({type(error).__name__})"
    return None


def newest_whole(folder: Path, warn: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose files are what was written; damaged ones are named and set aside."""
    with suppress(FileNotFoundError):
        for checkpoint in sorted(folder.glob("step-*"), reverse=True):
            damage = damage_of(checkpoint)
            if damage is None:
                return checkpoint
            aside = free_name(checkpoint.with_name(f"damaged-{checkpoint.name}"))
            os.replace(checkpoint, aside)
            warn(f"checkpoint {checkpoint} is damaged ({damage}): it is set aside as {aside.name}, and is not used.")
    return None


def newest_until(folder: Path, step: int, warn: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint of a step or before it; later ones are removed."""
    for checkpoint in finished_checkpoints(folder):
        if step_of(checkpoint) > step:
            remove_folder(checkpoint)
    return newest_whole(folder, warn)


def free_name(path: Path) -> Path:
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{path.name.partition('.')[0]}.{number}")
    return path


def note_progress(checkpoint: Path, progress: Progress) -> None:
    """Write what has become known since a checkpoint was saved."""
    write_state(checkpoint, asdict(progress), read_json(checkpoint / STATE)["sha256"])


def load_checkpoint(path: Path, method: Method, average: nn.Module, optimizers: Optimizers) -> Progress:
    """Put a whole checkpoint's contents into the objects given."""
    device = str(next(method.parameters()).device)
    load_weights(method, path / METHOD, device)
    load_weights(average, path / AVERAGE, device)
    saved = load_tensors(path / OPTIMIZERS, device)
    for phase, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in saved.items():
            of_phase, number, name = key.rsplit("/", 2)
            if of_phase == phase:
                state.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return Progress(**read_json(path / STATE)["progress"])


def load_model(run: RunFolder, checkpoint: Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """A run's averaged model, from a checkpoint, in eval mode; it is to be settled before use: `settle`.

    UserError where the checkpoint is damaged.
    """
    if damage := damage_of(checkpoint):
        raise UserError(
            f"checkpoint {checkpoint} is damaged ({damage}); go on with genlib train ... --run-dir {run.path}, which "
            "sets it aside and uses an older one."
        )
    config = run.config()
    dataset = prepare(config.data)
    with torch.random.fork_rng(devices=[]):
        method = config.method.build(spec_of(dataset, config.condition)).to(device)
    load_weights(method, checkpoint / METHOD, str(device))
    load_weights(method.model, checkpoint / AVERAGE, str(device))
    return method.model.eval()
