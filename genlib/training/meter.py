"""Losses summed on the device, read by the host once per log interval."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.methods.base import Losses


class LossMeter:
    """Means of `<phase>/<part>` over all micro-batches since the last reading; a part may be absent from some."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}  # by the names that were there together
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, phase: str, losses: Losses) -> None:
        """Add one micro-batch's (or one update's) scalars."""
        values = torch.stack([value.detach().float() for value in losses.values()])
        names = tuple(f"{phase}/{name}" for name in losses)
        if names in self._sums:
            self._sums[names] += values
        else:
            self._sums[names] = values
        self._counts[names] = self._counts.get(names, 0) + 1

    def means(self) -> tuple[list[str], Tensor]:
        """The names, and their means on the device; starts anew."""
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for names, of_group in self._sums.items():
            for name, value in zip(names, of_group.unbind(), strict=True):
                sums[name] = sums[name] + value if name in sums else value
                counts[name] = counts.get(name, 0) + self._counts[names]
        self._sums.clear()
        self._counts.clear()
        return list(sums), torch.stack([sums[name] / counts[name] for name in sums])
