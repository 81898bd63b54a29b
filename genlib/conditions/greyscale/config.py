"""Settings of the condition greyscale; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from genlib.choices.choice import rule
from genlib.conditions import ImageConditionConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.contexts.base import Condition, Shape


class GreyscaleCondition(ImageConditionConfig):
    """p(colour image | its lightness)."""

    name: Literal["greyscale"] = "greyscale"

    def build(self, image_shape: Shape, names: Sequence[str] | None = None) -> Condition:
        from genlib.conditions.greyscale.condition import Greyscale

        return Greyscale(image_shape)

    @rule
    def needs_colour(self, run: RunConfig, key: str) -> str | None:
        """condition: greyscale is of data.channels: 3."""
        if run.data.channels == 3:
            return None
        return f"{key} is greyscale, and data.channels is {run.data.channels}; use 3, or another condition."
