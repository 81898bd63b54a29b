"""The numbers of CPU threads that the steps of a run were computed with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from genlib.config.training import TrainingConfig
from genlib.runtime.threads import Threads, torch_threads


def asked_threads(training: TrainingConfig, device: torch.device) -> list[tuple[int, int]] | None:
    """The pairs that a configuration asks for; None: as many as other programs leave free.

    The number does not follow the load on a GPU, where little depends on it, and in compiled code, which would be
    compiled again for each.
    """
    if isinstance(training.threads, list):
        return [(first, number) for first, number in training.threads]
    if training.threads is None and device.type == "cpu" and not training.compile:
        return None
    return [(0, training.threads or torch_threads().number)]


class ThreadsOfSteps:
    """Sets the number of threads for each step, and keeps it: with the same ones the same weights come out.

    `changes` has pairs: the step, from 0, from which a number holds, and the number.

    Args:
        threads: those of this process.
        asked: the pairs to compute with; None: as many as other programs leave free.
    """

    keys: ClassVar[tuple[str, ...]] = ("threads",)

    def __init__(self, threads: Threads, asked: Sequence[tuple[int, int]] | None = None) -> None:
        self.threads, self.asked = threads, asked
        self.load_state_dict({})

    def begin_step(self, step: int) -> None:
        """Set the number for a step."""
        self.threads.fixed = [number for first, number in self.asked if first <= step][-1] if self.asked else None
        number = self.threads.follow()
        if not self.changes or self.changes[-1][1] != number:
            self.changes.append([step, number])

    def state_dict(self) -> dict[str, Any]:
        return {"threads": [list(change) for change in self.changes]}

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.changes: list[list[int]] = [list(change) for change in saved.get("threads", [])]
