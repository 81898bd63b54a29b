"""Checkpoints: everything that training continues from, whole or absent.

A checkpoint is the folder checkpoints/step-NNNNNNNN: method.safetensors, average.safetensors, optimizers.pt and,
written last, state.json. No generator's state is in it: batches and draws are functions of the step.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from genlib.data.prepare import prepare
from genlib.files import read_json, rename_into_place, sync, write_json
from genlib.methods import GenerativeModel, Method, build_method
from genlib.sampling import load_weights
from genlib.training.run_folder import RunFolder
from genlib.training.settle import spec_of


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


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def finished_checkpoints(folder: Path) -> list[Path]:
    """Oldest first; half-written ones are not among them."""
    return sorted(path.parent for path in folder.glob("step-*/state.json"))


def save_checkpoint(
    folder: Path,
    progress: Progress,
    method: Method,
    average: nn.Module,
    optimizers: dict[str, torch.optim.Optimizer],
    keep: int,
) -> Path:
    """Write beside, sync, rename; then remove all but this one and the newest others, `keep` in all."""
    final = checkpoint_path(folder, progress.step)
    partial = final.with_name(f".{final.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(contiguous(method.state_dict()), partial / "method.safetensors")
    save_file(contiguous(average.state_dict()), partial / "average.safetensors")
    torch.save({name: optimizer.state_dict() for name, optimizer in optimizers.items()}, partial / "optimizers.pt")
    for file in partial.iterdir():
        sync(file)
    write_json(partial / "state.json", asdict(progress))
    if final.exists():  # the same step, reached once more after a stop
        shutil.rmtree(final)
    rename_into_place(partial, final)
    others = [checkpoint for checkpoint in finished_checkpoints(folder) if checkpoint != final]
    for old in others[: max(0, len(others) - keep + 1)]:
        os.replace(old, old.with_name(f".{old.name}.removed"))
        shutil.rmtree(old.with_name(f".{old.name}.removed"))
    return final


def note_progress(folder: Path, progress: Progress) -> None:
    """Write what has become known of a step since its checkpoint was saved."""
    write_json(checkpoint_path(folder, progress.step) / "state.json", asdict(progress))


def load_checkpoint(
    path: Path, method: Method, average: nn.Module, optimizers: dict[str, torch.optim.Optimizer]
) -> Progress:
    """Put a checkpoint's contents into the objects given."""
    device = str(next(method.parameters()).device)
    load_weights(method, path / "method.safetensors", device)
    load_weights(average, path / "average.safetensors", device)
    saved = torch.load(path / "optimizers.pt", map_location=device, weights_only=True)
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(saved[name])
    return Progress(**read_json(path / "state.json"))


def contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them, which knows no channels_last."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def load_model(run: RunFolder, checkpoint: Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """A run's averaged model, from a checkpoint, in eval mode; it is to be settled before use: `settle`."""
    config = run.config()
    dataset = prepare(config.data)
    with torch.random.fork_rng(devices=[]):
        method = build_method(config.method, spec_of(dataset)).to(device)
    load_weights(method, checkpoint / "method.safetensors", str(device))
    load_weights(method.model, checkpoint / "average.safetensors", str(device))
    return method.model.eval()
