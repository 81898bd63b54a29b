"""Losses kept on the device, read by the host once per log interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, ClassVar

import torch
from torch import Tensor

from genlib.models.base import Losses

MOST = 256  # values kept before they are summed up


class LossMeter:
    """Means of `<phase>/<term>` over all micro-batches since the last line of metrics; a term may be absent from some.

    NaN and infinite values belong to updates that were not made: they do not count.
    """

    keys: ClassVar[tuple[str, ...]] = ("unlogged",)

    def __init__(self, device: torch.device, counts_loaded: bool = True) -> None:
        """Only one of several processes counts loaded sums (`counts_loaded`), or they would count once for each."""
        self.device, self.counts_loaded = device, counts_loaded
        self.unlogged: dict[str, list[float]] = {}  # sums and counts that were read and not yet logged
        self._readings: dict[tuple[str, ...], list[Tensor]] = {}  # by the phase and the terms that came together
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, phase: str, losses: Losses) -> None:
        """Add one micro-batch's, or one update's, scalars."""
        group = (phase, *losses)
        readings = self._readings.setdefault(group, [])
        readings += [value.detach() for value in losses.values()]
        if len(readings) >= MOST:
            self._sum_up(group)

    def _sum_up(self, group: tuple[str, ...]) -> None:
        phase, *terms = group
        names = [f"{phase}/{term}" for term in terms]
        values = torch.stack(self._readings.pop(group)).float().view(-1, len(terms))
        finite = values.isfinite()
        sums, counts = torch.where(finite, values, 0).sum(0), finite.sum(0)
        for name, total, count in zip(names, sums.unbind(), counts.unbind(), strict=True):
            self._sums[name] = self._sums[name] + total if name in self._sums else total
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def read(self, summed: Callable[[Tensor], Tensor] = lambda values: values) -> None:
        """Move all sums and counts to the host; waits for the device.

        `summed` adds up a tensor (2, n) of sums and counts over all processes.
        """
        for group in list(self._readings):
            self._sum_up(group)
        names = list(self._sums)
        found = torch.stack([torch.stack([of[name].float() for name in names]) for of in (self._sums, self._counts)])
        self.clear()
        sums, counts = summed(found).tolist()
        both = zip(names, sums, counts, strict=True)
        self.unlogged = {name: [total, count] for name, total, count in both if isfinite(total)}

    def means(self) -> dict[str, float]:
        """The means of what was read, which is logged by that."""
        means = {name: total / count for name, (total, count) in self.unlogged.items() if count}
        self.unlogged = {}
        return means

    def clear(self) -> None:
        """Forget what was not read."""
        for kept in (self._readings, self._sums, self._counts):
            kept.clear()

    def state_dict(self) -> dict[str, Any]:
        return {"unlogged": self.unlogged}

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.clear()
        self.unlogged = saved.get("unlogged", {})
        for name, (total, count) in self.unlogged.items():
            self._sums[name] = torch.tensor(self.counts_loaded * total, device=self.device)
            self._counts[name] = torch.tensor(self.counts_loaded * count, device=self.device)
