"""Penalties on a discriminator's slope, (n,) for n scores; the caller weighs and averages.

Each takes a critic, (n, ...) => scores (n,), and reals and fakes, (n, ...) alike: images, or packs of images
(n, pack, ...) that get one score each. Where the critic augments what it sees, the slope is that at the images before
the augmentation (Karras et al. 2020, "Training generative adversarial networks with limited data"). All is computed in
float32, whatever autocast says, and only the critic's parameters get gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]
Penalty = Callable[[Critic, Tensor, Tensor], Tensor]


def squared_gradient_norms(critic: Critic, images: Tensor) -> Tensor:
    """|grad D(x)|^2 of each score at its image or pack, (n, ...) => (n,); ValueError unless there are n scores."""

    def total(inputs: Tensor) -> Tensor:
        scores = critic(inputs)
        if len(scores) != len(inputs):
            raise ValueError(f"{len(scores)} scores of {len(inputs)} images; give packs of images as (n, pack, ...).")
        return scores.sum()

    # Not torch.autograd.grad, which torch.compile refuses.
    with torch.autocast(images.device.type, enabled=False):
        gradients = torch.func.grad(total)(images.detach().float())
    return gradients.flatten(1).square().sum(1)


def r1(critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
    """|grad D(x)|^2 / 2 at reals (Mescheder et al. 2018, eq. 9)."""
    return 0.5 * squared_gradient_norms(critic, reals)


def r2(critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
    """|grad D(x)|^2 / 2 at fakes (Mescheder et al. 2018, eq. 10)."""
    return 0.5 * squared_gradient_norms(critic, fakes)


def r1_r2(critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
    """Both (Huang et al. 2024, section 3)."""
    return r1(critic, reals, fakes) + r2(critic, reals, fakes)


def gradient_penalty(critic: Critic, reals: Tensor, fakes: Tensor) -> Tensor:
    """(|grad D(x)| - 1)^2 at random points between reals and fakes (Gulrajani et al. 2017, eq. 3).

    All images of a pack are mixed by one number: the point lies on the line between a pack of reals and one of fakes.
    """
    mix = torch.rand(len(reals), *[1] * (reals.dim() - 1), device=reals.device)
    squares = squared_gradient_norms(critic, torch.lerp(reals.float(), fakes.float(), mix))
    return ((squares + TINY).sqrt() - 1).square()  # The root has no slope at 0.


TINY = 1e-12
PENALTIES: dict[str, Penalty] = {"gradient_penalty": gradient_penalty, "r1": r1, "r2": r2, "r1_r2": r1_r2}


@torch.no_grad()
def clip_weights_(module: nn.Module, limit: float) -> None:
    """Hold every parameter within [-limit, limit], in place (Arjovsky et al. 2017, algorithm 1)."""
    torch._foreach_clamp_min_(list(module.parameters()), -limit)
    torch._foreach_clamp_max_(list(module.parameters()), limit)
