"""Updates that are not made because a loss or gradient is NaN or infinite: decided on the device, read now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

WINDOW = 100  # steps after which bad updates are counted

Steps = dict[str, list[int]]  # steps with a bad update, by phase, oldest first


class BadUpdates:
    """Bad updates, which were not made: their steps in the present window, the count before it, and all rollbacks."""

    keys: ClassVar[tuple[str, ...]] = ("skipped", "recently_skipped", "rollbacks")

    def __init__(self, phases: Sequence[str], device: torch.device) -> None:
        self.phases = list(phases)
        self.steps: Steps = {}  # of the present window, when it was read last
        self.earlier = 0  # steps with a bad update in windows that have ended, also those that a rollback undid
        self.rollbacks: list[dict[str, Any]] = []  # each with the steps that it is for
        self._flags = torch.zeros(len(phases), WINDOW, device=device)
        self._flag = {phase: of.unbind() for phase, of in zip(phases, self._flags, strict=True)}

    def note(self, phase: str, step: int, bad: Tensor) -> None:
        """Note whether an update in step `step` (from 0) was `bad`, 0 or 1, ()."""
        self._flag[phase][step % WINDOW].add_(bad)

    def read(self, steps_done: int) -> None:
        """Find `steps`; waits for the device."""
        begun = (steps_done - 1) // WINDOW * WINDOW
        flags = zip(self.phases, self._flags.tolist(), strict=True)
        found = {phase: [begun + place for place, set_ in enumerate(row) if set_] for phase, row in flags}
        self.steps = {phase: steps for phase, steps in found.items() if steps}

    @property
    def count(self) -> int:
        """Steps with a bad update in the whole run, as far as they were read."""
        return self.earlier + len(any_phase(self.steps))

    def too_many(self, steps_done: int, allowed: int) -> bool:
        """Whether more than `allowed` of 100 steps had one, or that share of a window that has not ended."""
        return len(any_phase(self.steps)) * WINDOW > allowed * ((steps_done - 1) % WINDOW + 1)

    def end_window(self) -> None:
        self.earlier, self.steps = self.count, {}
        self._flags.zero_()

    def sentence(self) -> str:
        """How many bad updates were read, from which step to which, in which phases."""
        bad = any_phase(self.steps)
        return (
            f"{len(bad)} steps from {bad[0]} to {bad[-1]} had a NaN or infinite loss or gradient, in phase "
            f"{' and '.join(self.steps)}"
        )

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.earlier, "recently_skipped": self.steps, "rollbacks": self.rollbacks}

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.earlier, self.rollbacks = saved.get("skipped", 0), saved.get("rollbacks", [])
        self.steps = saved.get("recently_skipped", {})
        self._flags.zero_()
        for phase, steps in self.steps.items():
            for step in steps:
                self._flag[phase][step % WINDOW].fill_(1)


def any_phase(steps: Steps) -> list[int]:
    """Steps with a bad update in any phase, oldest first."""
    return sorted(set().union(*steps.values()))


def extents(steps: Steps) -> dict[str, dict[str, int]]:
    """How many steps of each phase, from which to which."""
    return {phase: {"count": len(of), "first": of[0], "last": of[-1]} for phase, of in steps.items()}


def step_unless(bad: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Update the parameters, or change nothing where `bad`, 0 or 1, (), is 1. No other device is waited for."""
    if bad.is_cpu:
        if not bad:
            optimizer.step()
        return
    step_on_device_unless(bad, optimizer)


@torch.no_grad()
def step_on_device_unless(bad: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """The same, without reading `bad` on the host."""
    if getattr(optimizer, "_step_supports_amp_scaling", False):  # its kernel leaves the update out by itself
        optimizer.found_inf = bad  # type: ignore[attr-defined]
        optimizer.step()
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    weights = [parameter.clone() for parameter in parameters]
    states = [{key: value.clone() for key, value in kept(optimizer, parameter).items()} for parameter in parameters]
    optimizer.step()
    restore_where(bad, parameters, weights)
    for parameter, before in zip(parameters, states, strict=True):
        after = kept(optimizer, parameter)
        restore_where(bad, after.values(), [before.get(key, torch.zeros_like(after[key])) for key in after])


def kept(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """The tensors that an optimizer keeps for a parameter: none, which is as good as zeros, before its first update."""
    return {key: value for key, value in optimizer.state.get(parameter, {}).items() if isinstance(value, Tensor)}


def state_buffers(module: nn.Module) -> list[Tensor]:
    """All buffers that are saved, but for running statistics: these are re-estimated wherever a model is used."""
    parts = [part for part in module.modules() if not isinstance(part, _BatchNorm)]
    kept = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    return [buffer for part in parts for buffer in part.buffers(recurse=False) if id(buffer) in kept]


@torch.no_grad()
def restore_where(bad: Tensor, tensors: Iterable[Tensor], before: Iterable[Tensor]) -> None:
    """Give tensors their former values back where `bad`, 0 or 1, (), is 1."""
    for tensor, was in zip(tensors, before, strict=True):
        torch.where(bad.to(tensor.device) > 0, was, tensor, out=tensor)
