"""What is given of an image, or said of it: conditions of a model beside its noise."""

from __future__ import annotations

from collections.abc import Sequence

from genlib.conditions.base import Condition, Shape
from genlib.conditions.captions import Captions
from genlib.conditions.images import HOLES, LUMA, Greyscale, LowResolution, Masked, PartOfImage, enlarged, lightness
from genlib.config.conditions import (
    CaptionCondition,
    ConditionConfig,
    GreyscaleCondition,
    LowResolutionCondition,
    MaskedCondition,
)
from genlib.errors import UserError

__all__ = [
    "Captions",
    "Condition",
    "HOLES",
    "LUMA",
    "PartOfImage",
    "build_condition",
    "enlarged",
    "lightness",
    "Masked",
]


def build_condition(
    config: ConditionConfig, image_shape: Shape, names: Sequence[str] | None = None
) -> Condition | None:
    """None where neither an image nor a caption is given; UserError for one that images of this shape (C, H, W) have
    not, or for captions without the `names` of what they are of.
    """
    match config:
        case LowResolutionCondition():
            return LowResolution(image_shape, config.factor)
        case MaskedCondition():
            return Masked(image_shape, config.kind)
        case GreyscaleCondition():
            return Greyscale(image_shape)
        case CaptionCondition():
            if not names:
                raise UserError("condition caption needs data with captions; set data.scenes.")
            return Captions(image_shape, names)
    return None
