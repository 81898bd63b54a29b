"""Tensors in safetensors files: whole or absent; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from genlib.errors import UserError
from genlib.storage.files import write_bytes


def tensor_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The contents of a safetensors file; the tensors may lie on any device, in any layout."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata)


def write_tensors(file: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> str:
    """Write a whole file or none of it; returns its hexadecimal SHA-256. OSError where the disk does not take it."""
    content = tensor_bytes(tensors, metadata)
    write_bytes(file, content)
    return hashlib.sha256(content).hexdigest()


def load_tensors(file: Path, device: str | torch.device = "cpu") -> dict[str, Tensor]:
    """The tensors of a file by name; UserError where the file is something else."""
    try:
        return load_file(file, device=str(device))
    except SafetensorError as error:
        raise UserError(f"{file} is no safetensors file ({error}); restore the one that genlib wrote.") from error


class Loadable(Protocol):
    """A module, or anything else that takes named tensors."""

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> object: ...


def load_weights(module: Loadable, file: Path, device: str | torch.device = "cpu") -> None:
    """Put a file's tensors into a module; UserError where names or shapes are not the module's."""
    try:
        module.load_state_dict(load_tensors(file, device))
    except RuntimeError as error:
        raise UserError(
            f"{file} does not fit the method that its configuration describes: it was made by another version of "
            "genlib. Use that version, or train anew in another run folder."
        ) from error
