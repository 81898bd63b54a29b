"""Updates that are left out because their gradients are no numbers: decided on the device, read once in a while."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

WINDOW = 100  # steps between two verdicts

Steps = dict[str, list[int]]  # by phase


class SkippedSteps:
    """In which steps of the present window an update was left out."""

    def __init__(self, phases: Sequence[str], device: torch.device) -> None:
        self.phases = list(phases)
        self._flags = torch.zeros(len(phases), WINDOW, device=device)
        self._flag = {phase: of.unbind() for phase, of in zip(phases, self._flags, strict=True)}

    def note(self, phase: str, step: int, skipped: Tensor) -> None:
        """`skipped`, 0 or 1, (), of an update in step `step` (from 0)."""
        self._flag[phase][step % WINDOW].add_(skipped)

    def read(self, steps_done: int) -> Steps:
        """Those of the window so far, by phase, oldest first; waits for the device."""
        begun = (steps_done - 1) // WINDOW * WINDOW
        flags = zip(self.phases, self._flags.tolist(), strict=True)
        found = {phase: [begun + place for place, set_ in enumerate(row) if set_] for phase, row in flags}
        return {phase: steps for phase, steps in found.items() if steps}

    def start(self, steps: Mapping[str, Iterable[int]] | None = None) -> None:
        """Begin a window, or go on with one that has these."""
        self._flags.zero_()
        for phase, of_phase in (steps or {}).items():
            for step in of_phase:
                self._flag[phase][step % WINDOW].fill_(1)


def any_phase(steps: Steps) -> list[int]:
    """Steps in which any phase was skipped, oldest first."""
    return sorted(set().union(*steps.values()))


def extents(steps: Steps) -> dict[str, dict[str, int]]:
    """How many of each phase, from which to which."""
    return {phase: {"count": len(of), "first": of[0], "last": of[-1]} for phase, of in steps.items()}


def sentence(steps: Steps) -> str:
    bad = any_phase(steps)
    return (
        f"{len(bad)} steps from {bad[0]} to {bad[-1]} had a loss or gradient that is no number, in phase "
        f"{' and '.join(steps)}"
    )


def too_many(skipped: int, steps_done: int, allowed: int) -> bool:
    """Whether more than `allowed` of 100 steps were skipped, or that share of a window that has not ended."""
    return skipped * WINDOW > allowed * ((steps_done - 1) % WINDOW + 1)


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Update the parameters, or change nothing where `skip`, 0 or 1, (), says so. No other device is waited for."""
    if skip.is_cpu:
        if not skip:
            optimizer.step()
        return
    step_on_device_unless(skip, optimizer)


@torch.no_grad()
def step_on_device_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """The same without a look at `skip`."""
    if getattr(optimizer, "_step_supports_amp_scaling", False):  # its kernel leaves the update out by itself
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.step()
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    weights = [parameter.clone() for parameter in parameters]
    states = [{key: value.clone() for key, value in kept(optimizer, parameter).items()} for parameter in parameters]
    optimizer.step()
    restore_where(skip, parameters, weights)
    for parameter, before in zip(parameters, states, strict=True):
        after = kept(optimizer, parameter)
        restore_where(skip, after.values(), [before.get(key, torch.zeros_like(after[key])) for key in after])


def kept(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> dict[str, Tensor]:
    """What an optimizer keeps of a parameter: nothing, which is as good as zeros, before its first update."""
    return {key: value for key, value in optimizer.state.get(parameter, {}).items() if isinstance(value, Tensor)}


def state_buffers(module: nn.Module) -> list[Tensor]:
    """All that are kept, but for running statistics: these are re-estimated wherever a model is used."""
    parts = [part for part in module.modules() if not isinstance(part, _BatchNorm)]
    kept = {id(tensor) for tensor in module.state_dict(keep_vars=True).values()}
    return [buffer for part in parts for buffer in part.buffers(recurse=False) if id(buffer) in kept]


@torch.no_grad()
def restore_where(skip: Tensor, tensors: Iterable[Tensor], before: Iterable[Tensor]) -> None:
    """Give tensors their former values back where `skip`, 0 or 1, (), says so."""
    for tensor, was in zip(tensors, before, strict=True):
        torch.where(skip.to(tensor.device) > 0, was, tensor, out=tensor)
