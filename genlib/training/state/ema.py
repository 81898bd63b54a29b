"""An exponential moving average of the model's weights, its half-life counted in images."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from genlib.models.base import GenerativeModel

# Early on the half-life is this share of the images seen, so that the average forgets the initial weights
# (Karras et al. 2020, StyleGAN2: the reference training loop's ramp-up).
RAMP_UP = 0.05
# Steps between two moves. Small networks train so fast on a CPU that a move at every step costs an eighth of the time.
EVERY = 8


class MovingAverage:
    """A copy of `source` whose parameters trail it; with a half-life of 0 images they are its own.

    Buffers are the source's own: a codebook that is an average already. Batch-norm statistics are re-estimated where
    the copy is used.
    """

    def __init__(self, source: GenerativeModel, half_life: float) -> None:
        self.source = source
        self.half_life = half_life
        self.module = deepcopy(source).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, step: int, images_per_step: int, last: bool = False) -> None:
        """Move towards the source's weights after step `step` (from 1) of `images_per_step` images.

        It moves at every eighth step, and at the `last` one by what is left since then.
        """
        if self.half_life and (last or step % EVERY == 0):
            half_life = min(self.half_life, step * images_per_step * RAMP_UP)
            self._move(1 - 0.5 ** ((step % EVERY or EVERY) * images_per_step / half_life))

    @torch.no_grad()
    def current(self) -> GenerativeModel:
        """The averaged module, in eval mode."""
        if not self.half_life:
            self._move(1.0)
        for mine, theirs in zip(self.module.buffers(), self.source.buffers(), strict=True):
            mine.copy_(theirs)
        return self.module.eval()

    def state_dict(self) -> dict[str, Tensor]:
        return self.current().state_dict()

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        """RuntimeError where the names or shapes are others."""
        self.module.load_state_dict(saved)

    def _move(self, share: float) -> None:
        torch._foreach_lerp_(list(self.module.parameters()), list(self.source.parameters()), share)
