"""A phase's turn as one CUDA graph: for small models, which a GPU computes faster than the host can ask for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from genlib.config.training import TrainingConfig
from genlib.models.base import Batch, Losses, Method, Phase
from genlib.training.phases import ActivePhase

WARM_UP = 3  # turns as usual before the first capture: libraries choose their kernels, optimizers make their state


class Turn(NamedTuple):
    """What comes out of one."""

    losses: Losses
    skipped: Tensor  # (), 0 or 1
    norm: Tensor | None  # (), of the gradients


Replay = Callable[[], Turn]


def captured(turn: Replay) -> Replay:
    """Record the turn; each call of the result does it all again, and its tensors take the place of the last ones."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outcome = turn()

    def replay() -> Turn:
        graph.replay()
        return outcome

    return replay


class CapturedPhase(ActivePhase):
    """The same turns, of one micro-batch each, in one call: loss, gradients, finite check and update.

    The draws are those of a turn without a graph: a graph takes the seed of the global generator when it is replayed.
    One graph for each of the method's variants.
    """

    capturable = True
    capture: Callable[[Replay], Replay] = staticmethod(captured)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._turns = 0

    def begin_course(self, slower: float = 1.0) -> None:
        super().begin_course(slower)
        self._replays: dict[Hashable, tuple[Batch, Replay]] = {}  # none of them knows the optimizer's state of now

    def _backward(self, batch: Batch, share: float) -> Losses:
        self._turns += 1
        if self._turns <= WARM_UP:
            self._turn = self._eagerly(batch, share)
            return self._turn.losses
        place, replay = self._replay_of(batch, share)
        for there, now in zip(place, batch, strict=True):
            if there is not None and now is not None:
                there.copy_(now)
        self._turn = replay()
        return {name: value.clone() for name, value in self._turn.losses.items()}

    def _replay_of(self, batch: Batch, share: float) -> tuple[Batch, Replay]:
        key = (self.method.variant, share)
        if key not in self._replays:
            place = batch.map(torch.clone)
            self._replays[key] = place, self.capture(lambda: self._eagerly(place, share))
        return self._replays[key]

    def _eagerly(self, batch: Batch, share: float) -> Turn:
        losses = super()._backward(batch, share)
        # Of the turn's autograd graph nothing may live on: it belongs to the stream that it was made on.
        detached = {name: value.detach() for name, value in losses.items()}
        return Turn(detached, *super().step())

    def step(self) -> tuple[Tensor, Tensor | None]:
        """What `backward` has done already."""
        return self._turn.skipped, self._turn.norm


def active_phase(accelerator: Accelerator, method: Method, phase: Phase, training: TrainingConfig) -> ActivePhase:
    kind = CapturedPhase if training.cuda_graphs else ActivePhase
    return kind(accelerator, method, phase, training.steps, training.compile, training.gradient_clip)
