"""A lower bound on the memory that a training needs, computed before it begins.

The model is built and its losses are run on torch's meta device, whose tensors have shapes and no values: weights are
counted exactly, and activations as the tensors that autograd keeps for the backward pass.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.layers.base import DataSpec
from genlib.methods import MethodConfig
from genlib.models.base import Batch, Method
from genlib.runtime.capacity import free_memory, refuse_beyond_memory
from genlib.training.settle import spec_of

META = torch.device("meta")
BYTES = 4  # of a float32
ENDLESS = 2**62  # bytes, where torch cannot count them any more
PATIENCE = 5.0  # seconds, for finding the key that a refusal names
# Adam keeps two averages of every gradient, RMSprop one.
AVERAGES = {"adam": 2, "rmsprop": 1}


class Need(NamedTuple):
    """Bytes that one process needs."""

    weights: int  # with gradients, the optimizer's averages and the moving average
    activations: int  # of one micro-batch


def refuse_beyond(config: RunConfig, dataset: DatasetFolder) -> None:
    """UserError where the training needs far more memory than this process may use."""
    training = config.training
    spec = spec_of(dataset, config.condition)
    micro_batches = training.micro_batches or (int(os.environ.get("WORLD_SIZE", 1)))
    part = max(1, training.batch_size // micro_batches)
    need = need_of(config, spec, part)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if training.device != "cpu" and torch.cuda.is_available():
        # Each process has a GPU of its own.
        free, processes = torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", 0)))[0], 1
    else:
        free = free_memory()
    needs = {
        "weights, gradients and averages": need.weights * processes,
        f"activations of {part} images": need.activations * processes,
    }
    if need.activations > need.weights:
        remedy = f"raise training.micro_batches ({micro_batches}), lower training.batch_size ({training.batch_size})"
        remedy += " or make the model smaller"
    else:
        remedy = "make the model smaller"
    try:
        refuse_beyond_memory(needs, free, remedy)
    except UserError as error:  # only now is the time spent to find out what to lower
        key = heaviest_key(config.method, spec, need, part, config)
        raise UserError(f"{str(error).removesuffix('.')}, such as by {key}.") from None


def need_of(config: RunConfig, spec: DataSpec, images: int) -> Need:
    """The need of one process with micro-batches of `images` images."""
    try:
        with on_meta():
            method = built(config.method, spec)
    except RuntimeError as error:
        if "overflow" in str(error):
            return Need(ENDLESS, 0)
        raise
    states = sum(
        count(phase.trains.parameters()) * (1 + AVERAGES[phase.optimizer.algorithm]) for phase in method.phases
    )  # gradients, and averages of them
    tensors = (*method.parameters(), *method.buffers())
    averaged = (*method.model.parameters(), *method.model.buffers())
    activations = max(saved_bytes(method, phase.name, spec, images, config) for phase in method.phases)
    if config.training.precision == "bf16":
        activations //= 2
    return Need(BYTES * (count(tensors) + count(averaged) + states), activations)


def built(config: MethodConfig, spec: DataSpec) -> Method:
    """The method without spectral norms, which need the values of weights, and add few values of their own."""
    return config.without_power_iterations().build(spec).train()


@contextmanager
def on_meta() -> Iterator[None]:
    # torch.autocast knows no meta device; what it is asked there is always to be off.
    with META, patch.object(torch, "autocast", lambda *_, **__: nullcontext()):
        yield


def count(tensors: Any) -> int:
    """The values in all tensors together."""
    return sum(tensor.numel() for tensor in tensors)


def saved_bytes(method: Method, phase: str, spec: DataSpec, images: int, config: RunConfig) -> int:
    """Bytes of the tensors that autograd keeps for one loss, without weights; those after an operation for which torch
    has no shapes are not counted.
    """
    weights = {address(tensor) for tensor in (*method.parameters(), *method.buffers())}
    kept: dict[int, Tensor] = {}  # the tensors too, lest an address be used twice

    def keep(tensor: Tensor) -> Tensor:
        if address(tensor) not in weights:
            kept.setdefault(address(tensor), tensor)
        return tensor

    method.begin_step(0)
    try:
        with on_meta(), saved_tensors_hooks(keep, lambda tensor: tensor):
            method.loss(phase, batch_of(spec, images, config))
    except (RuntimeError, NotImplementedError) as error:
        if "overflow" in str(error):
            return ENDLESS
        # A gradient of a gradient, or an operation that torch has no shapes for: what was kept until then counts.
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def batch_of(spec: DataSpec, images: int, config: RunConfig) -> Batch:
    """A batch on the meta device, which has shapes alone."""
    condition = spec.condition
    labels = torch.empty(images, dtype=torch.int64) if spec.classes else None
    context = None
    if condition is not None:
        context = condition.taken(torch.empty(images, *condition.shape, dtype=condition.dtype))
    return Batch(torch.empty(images, *spec.shape), labels, context)


def heaviest_key(method: MethodConfig, spec: DataSpec, need: Need, images: int, config: RunConfig) -> str:
    """The size in the method section whose halving saves most, as `lowering method.width (64)`."""
    best, saving, deadline = "lowering its sizes", 0, time.monotonic() + PATIENCE
    for key, value in sizes_of(method.model_dump()):
        if time.monotonic() > deadline:
            break
        smaller = config.model_copy(update={"method": with_half(method, key)})
        try:
            found = need_of(smaller, spec, images)
        except (ValueError, RuntimeError):  # the half does not go with the rest
            continue
        if (saved := sum(need) - sum(found)) > saving:
            best, saving = f"lowering method.{key} ({value})", saved
    return best


def sizes_of(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of whole numbers above 1, and of lists of them."""
    for name, value in content.items():
        if isinstance(value, dict):
            yield from sizes_of(value, f"{prefix}{name}.")
        elif type(value) is int and value > 1:
            yield f"{prefix}{name}", value
        elif isinstance(value, list) and value and all(type(item) is int for item in value):
            yield f"{prefix}{name}", f"{len(value)} of up to {max(value)}"


def with_half(section: Any, key: str) -> Any:
    """The section with half of a size; of a list, half of each."""
    name, _, rest = key.partition(".")
    value = getattr(section, name)
    if rest:
        return section.model_copy(update={name: with_half(value, rest)})
    half = [max(1, item // 2) for item in value] if isinstance(value, list) else value // 2
    return section.model_copy(update={name: half})
