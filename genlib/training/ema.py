"""An exponential moving average of the model's weights, its half-life counted in images."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

# Early on the half-life is this share of the images seen, so that the average forgets the initial weights
# (Karras et al. 2020, StyleGAN2: the reference training loop's ramp-up).
RAMP_UP = 0.05


class MovingAverage:
    """A copy of `source` whose parameters trail it; with a half-life of 0 images they are its own.

    Batch-norm statistics are not averaged: they are re-estimated where the copy is used.
    """

    def __init__(self, source: nn.Module, half_life: float) -> None:
        self.source = source
        self.half_life = half_life
        self.module = deepcopy(source).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, images_seen: int, images_per_step: int) -> None:
        """Move towards the source's weights after a step of `images_per_step` images."""
        if self.half_life:
            half_life = min(self.half_life, max(images_seen * RAMP_UP, 1e-8))
            self._move(1 - 0.5 ** (images_per_step / half_life))

    @torch.no_grad()
    def current(self) -> nn.Module:
        """The averaged module, in eval mode."""
        if not self.half_life:
            self._move(1.0)
        return self.module.eval()

    def _move(self, share: float) -> None:
        torch._foreach_lerp_(list(self.module.parameters()), list(self.source.parameters()), share)
