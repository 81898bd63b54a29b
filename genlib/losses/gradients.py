"""Slopes of a critic at images, or at packs of images that get one score each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def squared_gradient_norms(critic: Critic, images: Tensor) -> Tensor:
    """|grad D(x)|^2 of each score at its image or pack, (n, ...) => (n,); ValueError unless there are n scores.

    `critic` is (n, ...) => scores (n,); a pack is (n, pack, ...). All is computed in float32, whatever autocast says,
    and only the critic's parameters get gradients.
    """

    def total(inputs: Tensor) -> Tensor:
        scores = critic(inputs)
        if len(scores) != len(inputs):
            raise ValueError(f"{len(scores)} scores of {len(inputs)} images; give packs of images as (n, pack, ...).")
        return scores.sum()

    # Not torch.autograd.grad, which torch.compile refuses.
    with torch.autocast(images.device.type, enabled=False):
        gradients = torch.func.grad(total)(images.detach().float())
    return gradients.flatten(1).square().sum(1)
