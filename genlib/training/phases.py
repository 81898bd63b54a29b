"""One phase of a training step: the wrapped loss, its parameters and their optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch._functorch import config as compiler

from genlib.models.base import Batch, Losses, Method, Phase
from genlib.models.optimizer import OptimizerConfig
from genlib.runtime.randomness import seed_draws
from genlib.training.schedule import learning_rate_at
from genlib.training.state.bad_updates import step_unless


class PhaseLoss(nn.Module):
    """The module that Accelerate wraps: one forward per backward, whatever happens inside, and only the phase's
    parameters.

    Calling the method past this wrapper would leave the gradients of several processes unaveraged.
    """

    def __init__(self, method: Method, phase: Phase, compiled: bool) -> None:
        super().__init__()
        self.trains = phase.trains
        loss = partial(method.loss, phase.name)
        if compiled:
            allow_recomputation(next(phase.trains.parameters()).device.type == "cpu")
        # Compiled code draws the numbers that eager code draws: the same model comes out.
        self._loss = torch.compile(loss, options={"fallback_random": True}) if compiled else loss

    def forward(self, batch: Batch) -> Losses:
        return self._loss(batch)


def allow_recomputation(now: bool) -> None:
    """Let compiled code compute cheap values again in the backward pass: on a CPU that is faster than to write down,
    boolean by boolean, where activations were positive. Random numbers are never drawn again.
    """
    for why in ("used_far_apart", "long_fusible_chains", "materialized_backward"):
        setattr(compiler, f"ban_recompute_{why}", not now)


class Turn(NamedTuple):
    """Result of one turn of a phase."""

    losses: list[Losses]  # of each micro-batch, detached
    bad: Tensor  # (), 1 where the update was not made because a loss or gradient was NaN or infinite, else 0
    norm: Tensor | None  # (), of the gradients, where it is clipped


class Execution(Protocol):
    """How the turns of one phase are carried out."""

    capturable: bool  # whether updates may be part of a CUDA graph

    def reset(self) -> None:
        """Forget whatever depends on the optimizer's state, since another one is loaded."""

    def turn(self, active: ActivePhase, batches: Sequence[Batch], seeds: Sequence[int]) -> Turn:
        """Add up the gradients of all micro-batches, each with the seed of its draws, and make an update."""


class Eager:
    """Turns carried out one operation after another."""

    capturable = False

    def reset(self) -> None:
        pass

    def turn(self, active: ActivePhase, batches: Sequence[Batch], seeds: Sequence[int]) -> Turn:
        losses = []
        for number, (batch, seed) in enumerate(zip(batches, seeds, strict=True), 1):
            seed_draws(seed, active.device)
            losses.append(active.add_gradients(batch, 1 / len(batches), reduce=number == len(batches)))
        return Turn(losses, *active.update())


class ActivePhase:
    """A phase at work on this process."""

    def __init__(
        self,
        accelerator: Accelerator,
        method: Method,
        phase: Phase,
        *,
        steps: int,
        compiled: bool = False,
        gradient_clip: float | None = None,
        execution: Execution | None = None,
    ) -> None:
        """A phase of a training of `steps` steps; `execution`: eager by default."""
        self.accelerator, self.method, self.phase, self.gradient_clip = accelerator, method, phase, gradient_clip
        self.device, self.execution = accelerator.device, execution or Eager()
        first = min(round(phase.since * steps), steps - 1)
        self.steps = range(first, max(first + 1, round(phase.until * steps)))  # those with a turn
        self.parameters = list(phase.trains.parameters())
        mine = set(self.parameters)
        self._others = [parameter for parameter in method.parameters() if parameter not in mine]
        self._take_turn()  # DDP takes in the parameters that require gradients when it is made, and only those
        self.optimizer = build_optimizer(phase.optimizer, self.parameters, self.execution.capturable)
        self._one = torch.ones((), device=self.device)
        self.reset()
        self.wrapped = accelerator.prepare_model(PhaseLoss(method, phase, compiled))

    def reset(self, slower: float = 1.0) -> None:
        """Go on from another state of weights and optimizer, at `slower` times the configured learning rates."""
        self._slower = slower
        self.execution.reset()

    def has_turn(self, step: int) -> bool:
        return step in self.steps

    def moves_at(self, step: int) -> bool:
        """Whether it has a turn in this step, and a learning rate that is not the same in all."""
        return self.has_turn(step) and self.phase.optimizer.moves

    def begin_step(self, step: int) -> None:
        """Train this phase's parameters alone from here on, at the learning rate of this step."""
        self._take_turn()
        mine = self.steps
        self.learning_rate = self._slower * learning_rate_at(self.phase.optimizer, step - mine.start, len(mine))
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.learning_rate)
            else:
                group["lr"] = self.learning_rate

    def turn(self, batches: Sequence[Batch], seeds: Sequence[int]) -> Turn:
        """Add up the gradients of all micro-batches, each with the seed of its draws, and make an update."""
        return self.execution.turn(self, batches, seeds)

    def add_gradients(self, batch: Batch, share: float, reduce: bool) -> Losses:
        """Add `share` of a micro-batch's gradients; `reduce` them over the processes with the last one. Its losses."""
        if reduce:
            return self._backward(batch, share)
        with self.accelerator.no_sync(self.wrapped):
            return self._backward(batch, share)

    def _backward(self, batch: Batch, share: float) -> Losses:
        losses: Losses = self.wrapped(batch)
        total = losses["total"]
        # A NaN or infinite loss makes NaN gradients: so all processes hear of it, where they reduce them.
        total.backward(torch.add(self._one * share, total.detach(), alpha=0))
        return {name: value.detach() for name, value in losses.items()}

    def update(self) -> tuple[Tensor, Tensor | None]:
        """Update the parameters unless a gradient is NaN or infinite; returns `bad` and `norm` of a Turn."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        bad, norm = torch.zeros_like(self._one), None
        # The kernel of torch.amp.GradScaler: one for all gradients, which it multiplies by 1 here.
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, bad, self._one)
        if self.gradient_clip is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.gradient_clip)
        step_unless(bad, self.optimizer)
        for parameter in self.parameters:
            parameter.grad = None
        return bad, norm

    def _take_turn(self) -> None:
        for parameters, now in ((self._others, False), (self.parameters, True)):
            for parameter in parameters:
                parameter.requires_grad = now


def build_optimizer(
    config: OptimizerConfig, parameters: list[nn.Parameter], capturable: bool = False
) -> torch.optim.Optimizer:
    """AdamW, which is Adam where weights do not decay, or RMSprop; one kernel, or few, for all parameters.

    Where it is `capturable` the learning rate is a tensor, which a recorded update reads afresh.
    """
    rate = torch.tensor(config.learning_rate, device=parameters[0].device) if capturable else config.learning_rate
    if config.algorithm == "rmsprop":
        return torch.optim.RMSprop(
            parameters,
            lr=rate,
            alpha=config.beta2,
            eps=config.epsilon,
            weight_decay=config.weight_decay,
            foreach=True,
            capturable=capturable,
        )
    return torch.optim.AdamW(
        parameters,
        lr=rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,
        capturable=capturable,
    )
