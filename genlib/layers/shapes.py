"""Shapes of data and of conditions; free of torch."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

ImageShape = tuple[int, ...]  # (C, H, W) of images, (2,) of points


class ConditionSpec(NamedTuple):
    """The condition that a network takes: one of `classes` labels, or an image of a shape (K, h, w)."""

    classes: int = 0
    shape: ImageShape | None = None

    @property
    def channels(self) -> int:
        """Channels that it adds to a map."""
        return self.shape[0] if self.shape else self.classes

    @property
    def values(self) -> int:
        """Numbers that it adds to a vector."""
        return prod(self.shape) if self.shape else self.classes

    def __bool__(self) -> bool:
        return self.channels > 0


UNCONDITIONAL = ConditionSpec()
