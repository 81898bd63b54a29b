"""A sampler of what is given that has learned nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.contexts.base import Condition
from genlib.pixels.scale import to_uint8, to_unit
from genlib.runtime.randomness import generator_for


class Guesses:
    """What is given, shown as an image, with noise of `spread` grey levels that is the seed's and the image's."""

    def __init__(self, condition: Condition, spread: int = 20) -> None:
        self.condition, self.spread = condition, spread

    def chunk(self, index: int, seed: int = 0, *, given: Tensor) -> Tensor:
        shown = to_uint8(self.condition.shown(given)).int()
        noise = torch.randint(-self.spread, self.spread + 1, shown.shape, generator=generator_for("noise", index, seed))
        return to_uint8(self.condition.keep(to_unit((shown + noise).clamp(0, 255).to(torch.uint8)), given))
