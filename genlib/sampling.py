"""A trained sampler on its own: exported, loaded without the training code, drawn from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genlib.config import MethodConfig, RunConfig
from genlib.errors import UserError
from genlib.files import read_json, rename_into_place, sha256_of_file, sync, write_json
from genlib.methods import Sampler, build_method
from genlib.networks.batch_norm import reestimate_batch_norm
from genlib.networks.mlp import ImageShape
from genlib.pixels import to_uint8
from genlib.randomness import generator_for

CHUNK = 256  # images whose latents come from one generator
NORM_BATCHES = 16  # chunks of fixed latents that batch-norm statistics are estimated from


def draw_latents(latent_size: int, seed: int, chunk: int, truncation: float | None = None) -> Tensor:
    """N(0, I), float (256, latent_size), from (seed, chunk) alone; on the CPU, so that every device draws the same.

    With `truncation` t each value is from N(0, 1) restricted to [-t, t] (Brock et al. 2019, section 3.1).
    """
    generator = generator_for("latents", seed, chunk)
    if not truncation:
        return torch.randn(CHUNK, latent_size, generator=generator)
    inside = torch.erf(torch.tensor(truncation / 2**0.5, dtype=torch.float64))  # the mass within [-t, t]
    uniform = 2 * torch.rand(CHUNK, latent_size, generator=generator, dtype=torch.float64) - 1
    return (2**0.5 * torch.erfinv(uniform * inside)).float().clamp_(-truncation, truncation)


def estimate_norms(sampler: Sampler) -> None:
    """Batch-norm statistics under the sampler's present weights, from fixed latents; leaves it in eval mode."""
    device = next(sampler.parameters()).device
    chunks = range(-NORM_BATCHES, 0)  # latents that no sample is drawn from
    latents = (draw_latents(sampler.latent_size, seed=0, chunk=chunk).to(device) for chunk in chunks)
    reestimate_batch_norm(sampler, sampler, latents)


class TrainedSampler:
    """Images from a sampler in eval mode: image i of a seed is the same whatever else is asked for."""

    def __init__(
        self,
        module: Sampler,
        image_shape: ImageShape,
        label_names: list[str] | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        self.module = module.eval()
        self.image_shape = image_shape
        self.latent_size = module.latent_size
        self.label_names = label_names
        self.info = info or {}
        self.device = next(module.parameters()).device

    def chunk(self, index: int, seed: int = 0, count: int = CHUNK, truncation: float | None = None) -> Tensor:
        """The first `count` of a seed's images 256 * index .. 256 * index + 255; uint8 (count, C, H, W)."""
        latents = draw_latents(self.latent_size, seed, index, truncation)[:count]
        with torch.inference_mode():
            return to_uint8(self.module(latents.to(self.device))).cpu()

    def images(
        self, count: int, seed: int = 0, truncation: float | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """uint8 (count, C, H, W) on the CPU.

        UserError where `count` or `truncation` is not positive, or labels are given to an unconditional sampler.
        """
        if count < 1:
            raise UserError(f"count ({count}) must be at least 1.")
        if truncation is not None and truncation < 0:
            raise UserError(f"truncation ({truncation}) must be positive, or 0 for none.")
        if labels is not None:
            raise UserError("this sampler was trained without labels; ask for a count only.")
        starts = range(0, count, CHUNK)
        return torch.cat([self.chunk(start // CHUNK, seed, min(CHUNK, count - start), truncation) for start in starts])


def export_sampler(
    folder: Path,
    sampler: nn.Module,
    config: RunConfig,
    shape: ImageShape,
    names: list[str] | None,
    info: dict[str, Any],
) -> None:
    """Write weights.safetensors and config.json, the whole folder or nothing; a former export is replaced."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    weights = partial / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in sampler.state_dict().items()}, weights)
    sync(weights)
    description = {
        "method": config.method.model_dump(mode="json"),
        "image_shape": list(shape),
        "label_names": names,
        "info": {**info, "weights_sha256": sha256_of_file(weights)},
    }
    write_json(partial / "config.json", description)
    if folder.exists():
        shutil.rmtree(folder)
    rename_into_place(partial, folder)


def load_sampler(folder: str | Path, device: str | torch.device = "cpu") -> TrainedSampler:
    """The sampler that export_sampler wrote; UserError where it is absent or its weights have changed."""
    folder = Path(folder)
    weights = folder / "weights.safetensors"
    if not (folder / "config.json").exists() or not weights.exists():
        raise UserError(f"{folder} holds no sampler (config.json and weights.safetensors); train the run to its end.")
    description = read_json(folder / "config.json")
    expected, actual = description["info"]["weights_sha256"], sha256_of_file(weights)
    if actual != expected:
        raise UserError(
            f"{weights} has changed since it was exported (SHA-256 {actual[:12]}, config.json says {expected[:12]}); "
            "restore it, or export the run anew with genlib train."
        )
    shape = tuple(description["image_shape"])
    with torch.random.fork_rng(devices=[]):
        method = build_method(TypeAdapter(MethodConfig).validate_python(description["method"]), shape)
    module = method.sampler_of(method.model)
    module.load_state_dict(load_file(weights))
    module.to(device).requires_grad_(False)
    return TrainedSampler(module, shape, description["label_names"], description["info"])
