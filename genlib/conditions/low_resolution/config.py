"""Settings of the condition low_resolution; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.conditions import ImageConditionConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.contexts.base import Condition, Shape


class LowResolutionCondition(ImageConditionConfig):
    """p(image | its average over squares of pixels)."""

    name: Literal["low_resolution"] = "low_resolution"
    factor: int = Field(2, ge=2, le=128, description="Pixels along a square's side")

    def build(self, image_shape: Shape, names: Sequence[str] | None = None) -> Condition:
        from genlib.conditions.low_resolution.condition import LowResolution

        return LowResolution(image_shape, self.factor)

    @rule
    def squares_fill_the_image(self, run: RunConfig, key: str) -> str | None:
        """condition.factor divides data.image_size."""
        size = run.data.image_size
        if size % self.factor == 0:
            return None
        fitting = [factor for factor in range(2, size + 1) if size % factor == 0]
        nearest = min(fitting, key=lambda factor: abs(factor - self.factor))
        return f"{key}.factor ({self.factor}) must divide data.image_size ({size}); use {nearest}."
