"""Checkpoints: files with everything that training continues from, whole or absent.

A checkpoint is the folder checkpoints/step-NNNNNNNN: method.safetensors, average.safetensors, optimizers.safetensors
and, written last, state.json, which has the numbers and a SHA-256 of each other file. No generator's state is in it:
batches and draws are functions of the step. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.runs.checkpoints import STATE, checkpoint_path, finished_checkpoints, step_of
from genlib.storage.files import (
    read_json,
    remove_folder,
    sha256_of_file,
    sha256_of_json,
    whole_folder,
    write_json,
)
from genlib.storage.tensors import load_weights, write_tensors
from genlib.training.state.bad_updates import BadUpdates
from genlib.training.state.clock import Clock
from genlib.training.state.evaluations import Evaluations
from genlib.training.state.meter import LossMeter
from genlib.training.state.parts import Numbers, TrainingState
from genlib.training.state.progress import Progress
from genlib.training.state.sentinel import Sentinel
from genlib.training.state.threads import ThreadsOfSteps

METHOD, AVERAGE, OPTIMIZERS = "method.safetensors", "average.safetensors", "optimizers.safetensors"
PARTS = (Progress, Clock, Evaluations, BadUpdates, LossMeter, Sentinel, ThreadsOfSteps)
KEYS = {key for part in PARTS for key in part.keys}


class Snapshot(NamedTuple):
    """A checkpoint in host memory; on a GPU its tensors are whole once `ready` has come."""

    numbers: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]  # by file
    ready: torch.cuda.Event | None


def take_snapshot(state: TrainingState) -> Snapshot:
    """Copies that later steps do not change; the device is not waited for."""
    parts = {METHOD: state.method, AVERAGE: state.average, OPTIMIZERS: state.optimizers}
    tensors = {file: part.state_dict() for file, part in parts.items()}
    copies = {file: {name: host_copy(tensor) for name, tensor in named.items()} for file, named in tensors.items()}
    on_gpu = any(tensor.is_cuda for tensor in tensors[METHOD].values())
    return Snapshot(numbers_of(state.numbers), copies, torch.cuda.current_stream().record_event() if on_gpu else None)


def numbers_of(parts: Sequence[Numbers]) -> dict[str, Any]:
    return deepcopy({key: value for part in parts for key, value in part.state_dict().items()})


def host_copy(tensor: Tensor) -> Tensor:
    """Contiguous, as safetensors wants them, which knows no channels_last."""
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
    return copy.copy_(tensor.detach(), non_blocking=True)


def save_checkpoint(folder: Path, snapshot: Snapshot, keep: int, last_good: int = 0) -> Path:
    """Write a checkpoint; then remove all but the newest `keep`, and the newest of step `last_good` or before.

    OSError where the disk does not take it: the former checkpoints are still there then.
    """
    if snapshot.ready is not None:
        snapshot.ready.synchronize()
    final = checkpoint_path(folder, snapshot.numbers["step"])
    folder.mkdir(exist_ok=True)  # without its parents: a run folder that was removed is not made again
    with whole_folder(final) as partial:  # there already where a step is reached once more after a stop
        digests = {name: write_tensors(partial / name, tensors) for name, tensors in snapshot.tensors.items()}
        write_state(partial, snapshot.numbers, digests)
    prune(folder, keep, last_good)
    return final


def write_state(checkpoint: Path, numbers: dict[str, Any], digests: dict[str, str]) -> None:
    content = {"progress": numbers, "sha256": digests}
    write_json(checkpoint / STATE, content | {"checksum": sha256_of_json(content)})


def prune(folder: Path, keep: int, last_good: int) -> None:
    finished = finished_checkpoints(folder)
    good = [checkpoint for checkpoint in finished if step_of(checkpoint) <= last_good][-1:]
    for old in finished[:-keep]:
        if old not in good:
            remove_folder(old)


def damage_of(checkpoint: Path) -> str | None:
    """A description of the damage to a checkpoint's files; None where they are what was written."""
    try:
        state = read_json(checkpoint / STATE)
        if state.pop("checksum") != sha256_of_json(state):
            return f"{STATE} has changed since it was written"
        for name, digest in state["sha256"].items():
            if sha256_of_file(checkpoint / name) != digest:
                return f"{name} has changed since it was written"
        if unknown := state["progress"].keys() - KEYS:
            return f"{STATE} has {min(unknown)}, which this version of genlib does not know"
    except OSError as error:
        return f"{Path(error.filename or checkpoint).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{STATE} is not that of a checkpoint ({type(error).__name__})"
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


def note_numbers(checkpoint: Path, parts: Sequence[Numbers]) -> None:
    """Write numbers that have become known since a checkpoint was saved."""
    write_state(checkpoint, numbers_of(parts), read_json(checkpoint / STATE)["sha256"])


def load_checkpoint(path: Path, state: TrainingState, device: torch.device) -> None:
    """Put a whole checkpoint's contents into the parts of the state."""
    load_weights(state.method, path / METHOD, device)
    load_weights(state.average, path / AVERAGE, device)
    load_weights(state.optimizers, path / OPTIMIZERS, device)
    numbers = read_json(path / STATE)["progress"]
    for part in state.numbers:
        part.load_state_dict(numbers)
