"""Batch-norm statistics measured afresh, because running ones lag behind and belong to other weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Input = TypeVar("Input")


@torch.no_grad()
def reestimate_batch_norm(module: nn.Module, forward: Callable[[Input], object], inputs: Iterable[Input]) -> None:
    """Set the statistics of all batch norms in `module` to the mean over `forward` of each input; leaves eval mode on.

    Moving averages of weights fit no running statistics (Izmailov et al. 2018, section 3.2).
    """
    norms = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        module.train()
        for batch in inputs:
            forward(batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    module.eval()
