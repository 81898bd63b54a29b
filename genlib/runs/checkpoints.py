"""The names of checkpoints in a run folder, and which of them are there."""

from __future__ import annotations

from pathlib import Path

STATE = "state.json"  # the file of a checkpoint that is written last


def checkpoint_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def finished_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; half-written ones are not among them."""
    found = (path.parent for path in folder.glob(f"step-*/{STATE}"))
    return sorted((path for path in found if path.name[5:].isdecimal()), key=step_of)
