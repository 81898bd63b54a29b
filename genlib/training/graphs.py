"""Turns of a phase as CUDA graphs: for small models, which a GPU computes faster than the host can ask for it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch

from genlib.models.base import Batch
from genlib.runtime.randomness import seed_draws
from genlib.training.phases import ActivePhase, Turn

WARM_UP = 3  # eager turns before the first capture: libraries choose their kernels, optimizers make their state

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


class CudaGraphs:
    """Turns of one micro-batch carried out in one call each: loss, gradients, finite check and update.

    The draws are those of a turn without a graph: a graph takes the seed of the global generator when it is replayed.
    There is one graph for each of the method's variants.
    """

    capturable = True

    def __init__(self, capture: Callable[[Replay], Replay] = captured) -> None:
        self._capture = capture
        self._turns = 0
        self.reset()

    def reset(self) -> None:
        self._graphs: dict[Hashable, tuple[Batch, Replay]] = {}  # by variant: the place of a batch, and its turn

    def turn(self, active: ActivePhase, batches: Sequence[Batch], seeds: Sequence[int]) -> Turn:
        (batch,), (seed,) = batches, seeds  # the configuration refuses more
        seed_draws(seed, active.device)
        self._turns += 1
        if self._turns <= WARM_UP:
            return whole_turn(active, batch)
        variant = active.method.variant
        if variant not in self._graphs:
            place = batch.map(torch.clone)
            self._graphs[variant] = place, self._capture(lambda: whole_turn(active, place))
        place, replay = self._graphs[variant]
        for there, now in zip(place, batch, strict=True):
            if there is not None and now is not None:
                there.copy_(now)
        turn = replay()
        # The next replay overwrites these tensors, and the losses and the norm are read later.
        losses = [{name: value.clone() for name, value in turn.losses[0].items()}]
        return Turn(losses, turn.bad, None if turn.norm is None else turn.norm.clone())


def whole_turn(active: ActivePhase, batch: Batch) -> Turn:
    return Turn([active.add_gradients(batch, 1.0, reduce=True)], *active.update())
