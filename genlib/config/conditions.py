"""What a model is given beside its noise: the conditions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from genlib.choices.section import Section


class NoCondition(Section):
    """p(image), or p(image | label) where method.conditioning says how a label is taken."""

    name: Literal["none"] = "none"


class LabelCondition(Section):
    """p(image | label); method.conditioning says how it is taken."""

    name: Literal["label"] = "label"


class LowResolutionCondition(Section):
    """p(image | its average over squares of pixels)."""

    name: Literal["low_resolution"] = "low_resolution"
    factor: int = Field(2, ge=2, le=128, description="Pixels along a square's side")


class MaskedCondition(Section):
    """p(image | a part of its pixels)."""

    name: Literal["masked"] = "masked"
    kind: Literal["box", "half", "free_form"] = Field(
        "box", description="What is hidden: a box, one half, or strokes of a brush"
    )


class GreyscaleCondition(Section):
    """p(colour image | its lightness)."""

    name: Literal["greyscale"] = "greyscale"


class CaptionCondition(Section):
    """p(image | what is said of it), and p(next word | words before it); of data.scenes."""

    name: Literal["caption"] = "caption"


ImageCondition = LowResolutionCondition | MaskedCondition | GreyscaleCondition
ConditionConfig = Annotated[
    NoCondition | LabelCondition | LowResolutionCondition | MaskedCondition | GreyscaleCondition | CaptionCondition,
    Field(discriminator="name"),
    BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),  # condition: label
]
