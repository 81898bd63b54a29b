"""Losses summed on the device, read by the host once per log interval."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.methods.base import Losses


class LossMeter:
    """Means of `<phase>/<part>` over all micro-batches since the last reading."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, phase: str, losses: Losses) -> None:
        """Add one micro-batch's (or one update's) scalars."""
        values = torch.stack([value.detach().float() for value in losses.values()])
        if self._counts.get(phase):
            self._sums[phase] += values
        else:
            self._names[phase], self._sums[phase] = [f"{phase}/{name}" for name in losses], values
        self._counts[phase] = self._counts.get(phase, 0) + 1

    def means(self) -> tuple[list[str], Tensor]:
        """The names, and their means on the device; starts anew."""
        names = [name for phase in self._sums for name in self._names[phase]]
        means = torch.cat([self._sums[phase] / self._counts[phase] for phase in self._sums])
        self._sums.clear()
        self._counts.clear()
        return names, means
