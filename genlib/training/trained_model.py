"""A run's averaged model, from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.models.base import GenerativeModel
from genlib.runs.folder import RunFolder
from genlib.storage.tensors import load_weights
from genlib.training.settle import spec_of
from genlib.training.state.checkpoint import AVERAGE, METHOD, damage_of


def load_model(run: RunFolder, checkpoint: Path, device: str | torch.device = "cpu") -> GenerativeModel:
    """The averaged model of a run's checkpoint, in eval mode; `settle` it before use.

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
    load_weights(method, checkpoint / METHOD, device)
    load_weights(method.model, checkpoint / AVERAGE, device)
    return method.model.eval()
