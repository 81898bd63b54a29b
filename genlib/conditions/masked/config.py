"""Settings of the condition masked; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.conditions import ImageConditionConfig

if TYPE_CHECKING:
    from genlib.contexts.base import Condition, Shape


class MaskedCondition(ImageConditionConfig):
    """p(image | a part of its pixels)."""

    counts_all_pixels: ClassVar[bool] = False

    name: Literal["masked"] = "masked"
    kind: Literal["box", "half", "free_form"] = Field(
        "box", description="Form of the hole: a box, one half, or strokes of a brush"
    )

    def build(self, image_shape: Shape, names: Sequence[str] | None = None) -> Condition:
        from genlib.conditions.masked.condition import Masked

        return Masked(image_shape, self.kind)
