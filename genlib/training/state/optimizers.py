"""The optimizers of all phases as one part of the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Optimizers(dict[str, torch.optim.Optimizer]):
    """Optimizers by phase. What changes in them is saved; learning rates and the like are configuration."""

    def state_dict(self) -> dict[str, Tensor]:
        """Averages and counts by <phase>/<number of the parameter>/<name>."""
        return {
            f"{phase}/{number}/{name}": value
            for phase, optimizer in self.items()
            for number, state in optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        for phase, optimizer in self.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in saved.items():
                of_phase, number, name = key.rsplit("/", 2)
                if of_phase == phase:
                    state.setdefault(int(number), {})[name] = value
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
