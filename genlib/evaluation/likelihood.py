"""Means over held-out images of what a method can say about each of them, such as the evidence lower bound."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlib.config import MethodConfig
from genlib.evaluation.features import Chunk
from genlib.evaluation.processes import Processes
from genlib.methods import build_method
from genlib.methods.base import Batch, Losses, Method
from genlib.networks.mlp import ImageShape
from genlib.pixels import to_unit
from genlib.randomness import seed_for
from genlib.sampling import CHUNK


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    standard_error: float


def speaks_of_held_out(config: MethodConfig, image_shape: ImageShape) -> bool:
    """Whether the method has anything to say about held-out images, without the cost of loading its model."""
    with torch.device("meta"):
        return type(build_method(config, image_shape)).held_out is not Method.held_out


def held_out_metrics(
    method: Method, model: nn.Module, chunk: Chunk, count: int, seed: int, processes: Processes
) -> dict[str, Estimate]:
    """Every quantity that `method.held_out` gives, over `count` uint8 images: nats per image for a VAE, {} for a GAN.

    The draws of each chunk are its own, so the result does not depend on who computes it.
    """

    def values(index: int) -> Losses:
        return chunk_values(method, model, chunk(index)[: count - index * CHUNK], seed_for("held out", seed, index))

    names = processes.first(lambda: sorted(values(0)))
    if not names:
        return {}
    mine = {}
    for index in processes.chunks(count):
        quantities = values(index)
        mine[index] = torch.stack([quantities[name].cpu().double() for name in names], dim=1)
    table = processes.gather(mine, count, len(names), torch.float64)  # (count, names)
    means, errors = table.mean(0).tolist(), (table.std(0) / count**0.5).tolist()
    return {name: Estimate(*estimate) for name, *estimate in zip(names, means, errors, strict=True)}


@torch.no_grad()
def chunk_values(method: Method, model: nn.Module, images: Tensor, seed: int) -> Losses:
    """`held_out` of uint8 images, each (B,), its draws from `seed` and the global generators left as they were."""
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return method.held_out(model, Batch(to_unit(images.to(device)), None))
