"""An exported sampler, loaded without the training code."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from genlib.choices.problems import validated
from genlib.errors import UserError
from genlib.layers.base import DataSpec
from genlib.sampling.description import SamplerDescription
from genlib.sampling.requests import shown
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import read_json, sha256_of_file
from genlib.storage.tensors import load_tensors


def load_sampler(folder: str | Path, device: str | torch.device = "cpu") -> TrainedSampler:
    """The sampler that export_sampler wrote; UserError where it is absent or its weights have changed."""
    folder = Path(folder)
    weights = folder / "weights.safetensors"
    if not (folder / "config.json").exists() or not weights.exists():
        raise UserError(f"{folder} holds no sampler (config.json and weights.safetensors); train the run to its end.")
    file = folder / "config.json"
    description = validated(SamplerDescription, read_json(file), f"{file} is damaged, export it anew")
    expected, actual = description.info.weights_sha256, sha256_of_file(weights)
    if actual != expected:
        raise UserError(
            f"{weights} has changed since it was exported (SHA-256 {actual[:12]}, config.json says {expected[:12]}); "
            "restore it, or export the run anew with genlib train."
        )
    shape, shares = description.image_shape, description.label_shares
    try:
        condition = description.condition.build(shape, description.scene_names)
        spec = DataSpec(shape, len(shares or ()), condition=condition)
        # On the meta device nothing is allocated: what a stranger's config.json asks for may be more than memory holds.
        with torch.device("meta"):
            module = description.method.build_sampler(spec)
    except (ArithmeticError, ValueError, RuntimeError, TypeError, UserError) as error:
        reason = str(error).partition("\n")[0]  # torch's go on with their own stack
        raise UserError(f"{file} describes no sampler ({reason}); export it anew.") from error
    take_weights(module, load_tensors(weights), weights)
    module.to(device).requires_grad_(False)
    return TrainedSampler(
        module, shape, shares, description.label_names, description.info.model_dump(exclude_unset=True)
    )


def take_weights(module: nn.Module, tensors: dict[str, Tensor], file: Path) -> None:
    """Make these tensors the parameters and buffers of a module on the meta device.

    UserError, before anything is allocated, where names, shapes or types are those of another module, and where a
    parameter is not finite: all images would be black.
    """
    expected = module.state_dict()
    for name in expected | tensors:
        needed, found = (form_of(state.get(name)) for state in (expected, tensors))
        if needed != found:
            raise UserError(
                f"{file} does not fit the config.json beside it: of {shown(name)} there is {found}, and the method "
                f"needs {needed}; restore both, or export the run anew with genlib train."
            )
    for name, _ in module.named_parameters():
        if not tensors[name].isfinite().all():
            raise UserError(f"{file} holds NaN or infinity in {name}; restore an earlier export, or train anew.")
    # Copies, since safetensors' own tensors are views of the file, which may go away.
    module.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)


def form_of(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{str(tensor.dtype)[6:]} of shape {tuple(tensor.shape)}"
