"""Settings of an optimizer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genlib.choices.section import (
    LARGEST_RATE,
    MOST_STEPS,
    Section,
)


class OptimizerConfig(Section):
    """Adam (Kingma & Ba 2015), its weight decay decoupled (Loshchilov & Hutter 2019), or RMSprop."""

    algorithm: Literal["adam", "rmsprop"] = Field("adam", description="The update rule")
    learning_rate: float = Field(1e-3, gt=0, le=LARGEST_RATE, description="After the warm-up, before the schedule")
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of adam's average of the gradients")
    beta2: float = Field(
        0.999, ge=0, lt=1, description="Decay of the average of squared gradients, of adam and rmsprop"
    )
    epsilon: float = Field(1e-8, ge=1e-30, le=1, description="Added to the root of the squared gradients")
    weight_decay: float = Field(
        0.0, ge=0, le=LARGEST_RATE, description="Share of a weight that a step takes away, times the learning rate"
    )
    warm_up_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Steps in which the learning rate rises from 0")
    schedule: Literal["constant", "linear", "cosine", "stages"] = Field(
        "constant",
        description="Schedule of the learning rate after the warm-up; stages: 8, each three times as long as the last",
    )
    final_share: float = Field(0.1, gt=0, le=1, description="Share of the learning rate that a schedule ends with")

    @property
    def moves(self) -> bool:
        """Whether the learning rate is not the same all the time."""
        return self.schedule != "constant" or self.warm_up_steps > 0
