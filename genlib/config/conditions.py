"""Conditions that a model takes beside its noise."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from genlib.choices.section import Section


class ConditionSection(Section):
    is_image: ClassVar[bool] = False
    is_text: ClassVar[bool] = False


class NoCondition(ConditionSection):
    """p(image), or p(image | label) where method.conditioning says how a label is taken."""

    name: Literal["none"] = "none"


class LabelCondition(ConditionSection):
    """p(image | label); method.conditioning says how it is taken."""

    name: Literal["label"] = "label"


class LowResolutionCondition(ConditionSection):
    """p(image | its average over squares of pixels)."""

    is_image: ClassVar[bool] = True

    name: Literal["low_resolution"] = "low_resolution"
    factor: int = Field(2, ge=2, le=128, description="Pixels along a square's side")


class MaskedCondition(ConditionSection):
    """p(image | a part of its pixels)."""

    is_image: ClassVar[bool] = True

    name: Literal["masked"] = "masked"
    kind: Literal["box", "half", "free_form"] = Field(
        "box", description="Form of the hidden part: a box, one half, or strokes of a brush"
    )


class GreyscaleCondition(ConditionSection):
    """p(colour image | its lightness)."""

    is_image: ClassVar[bool] = True

    name: Literal["greyscale"] = "greyscale"


class CaptionCondition(ConditionSection):
    """p(image | what is said of it), and p(next word | words before it); of data.scenes."""

    is_text: ClassVar[bool] = True

    name: Literal["caption"] = "caption"


ImageCondition = LowResolutionCondition | MaskedCondition | GreyscaleCondition
ConditionConfig = Annotated[
    NoCondition | LabelCondition | LowResolutionCondition | MaskedCondition | GreyscaleCondition | CaptionCondition,
    Field(discriminator="name"),
    BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),  # condition: label
]
