"""The learning rate over a training: a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Callable

from genlib.models.optimizer import OptimizerConfig

STAGES, LONGER = 8, 3  # each three times as long as the one before (Burda et al. 2015, section 5)


def stage(passed: float) -> float:
    """The stage of a training of which the share `passed` is done, from 0, the first, to 1, the last."""
    ended = passed * (LONGER**STAGES - 1) / (LONGER - 1)  # in lengths of the first stage
    return min(int(math.log(ended * (LONGER - 1) + 1, LONGER) + 1e-9), STAGES - 1) / (STAGES - 1)


# From the passed part of a training, 0 to below 1, to the share of the learning rate; the last is at least `final`.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda passed, final: 1.0,
    "linear": lambda passed, final: 1 - (1 - final) * passed,
    "cosine": lambda passed, final: final + (1 - final) * (1 + math.cos(math.pi * passed)) / 2,
    "stages": lambda passed, final: final ** stage(passed),
}


def learning_rate_at(config: OptimizerConfig, step: int, steps: int) -> float:
    """The learning rate of step `step` (from 0) of `steps`: after the warm-up it follows the schedule."""
    if step < config.warm_up_steps:
        return config.learning_rate * (step + 1) / config.warm_up_steps
    passed = (step - config.warm_up_steps) / max(1, steps - config.warm_up_steps)
    return config.learning_rate * SCHEDULES[config.schedule](passed, config.final_share)
