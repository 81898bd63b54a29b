"""Losses kept on the device, read by the host once per log interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genlib.models.base import Losses

MOST = 256  # values kept before they are summed up


class LossMeter:
    """Means of `<phase>/<part>` over all micro-batches since the last reading; a part may be absent from some.

    Values that are no numbers belong to updates that were left out: they do not count.
    """

    def __init__(self) -> None:
        self._readings: dict[tuple[str, ...], list[Tensor]] = {}  # by the phase and the parts that were there together
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, phase: str, losses: Losses) -> None:
        """Add one micro-batch's (or one update's) scalars."""
        group = (phase, *losses)
        readings = self._readings.setdefault(group, [])
        readings += [value.detach() for value in losses.values()]
        if len(readings) >= MOST:
            self._sum_up(group)

    def _sum_up(self, group: tuple[str, ...]) -> None:
        phase, *parts = group
        names = [f"{phase}/{part}" for part in parts]
        values = torch.stack(self._readings.pop(group)).float().view(-1, len(parts))
        finite = values.isfinite()
        sums, counts = torch.where(finite, values, 0).sum(0), finite.sum(0)
        for name, total, count in zip(names, sums.unbind(), counts.unbind(), strict=True):
            self._sums[name] = self._sums[name] + total if name in self._sums else total
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def sums(self) -> tuple[list[str], Tensor]:
        """The names, and on the device their sums and counts, (2, n); starts anew."""
        for group in list(self._readings):
            self._sum_up(group)
        names = list(self._sums)
        found = torch.stack([torch.stack([of[name].float() for name in names]) for of in (self._sums, self._counts)])
        self.clear()
        return names, found

    def start(self, sums: Mapping[str, Sequence[float]], share: float, device: torch.device) -> None:
        """Begin with a share of these sums and counts, by name."""
        self.clear()
        for name, (total, count) in sums.items():
            self._sums[name] = torch.tensor(share * total, device=device)
            self._counts[name] = torch.tensor(share * count, device=device)

    def clear(self) -> None:
        for kept in (self._readings, self._sums, self._counts):
            kept.clear()
