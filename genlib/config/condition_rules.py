"""Rules between a condition and other sections: each rule gives None, or what is wrong, why, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.conditions import (
    CaptionCondition,
    GreyscaleCondition,
    ImageCondition,
    LabelCondition,
    LowResolutionCondition,
)
from genlib.methods import families_where
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_thing

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def image_given(config: RunConfig) -> str | None:
    """The name of a condition that is an image."""
    return config.condition.name if isinstance(config.condition, ImageCondition) else None


def labels_are_taken_somehow(config: RunConfig) -> str | None:
    """condition: label needs method.conditioning, which no other condition goes with."""
    if isinstance(config.condition, LabelCondition) and not config.method.takes_labels:
        return (
            "condition is label, and method.conditioning is none: it says how a label is taken; use "
            "method.conditioning=concat."
        )
    if image_given(config) and config.method.takes_labels:
        return (
            f"condition is {config.condition.name}, and method.conditioning takes labels; use one of the two: "
            "method.conditioning=none, or condition.name=label."
        )
    return None


def images_are_given_to_some_methods(config: RunConfig) -> str | None:
    """low_resolution, masked and greyscale are for vae, iwae and gan, and for images."""
    if not (given := image_given(config)):
        return None
    if config.data.is_points:
        source = config.data.source
        return f"condition is {given}, and data.source {source} is points in the plane; use condition.name=none."
    if not config.method.takes_condition_image:
        families = families_where("takes_condition_image")
        return f"condition is {given}, which {config.method.name} does not take; use method.name {families}."
    return None


def conditions_fit_the_images(config: RunConfig) -> str | None:
    """condition.factor divides data.image_size, and greyscale is of data.channels: 3."""
    condition, size = config.condition, config.data.image_size
    if isinstance(condition, LowResolutionCondition) and size % condition.factor:
        fitting = [factor for factor in range(2, size + 1) if size % factor == 0]
        nearest = min(fitting, key=lambda factor: abs(factor - condition.factor))
        return f"condition.factor ({condition.factor}) must divide data.image_size ({size}); use {nearest}."
    if isinstance(condition, GreyscaleCondition) and config.data.channels != 3:
        return f"condition is greyscale, and data.channels is {config.data.channels}; use 3, or another condition."
    return None


def captions_are_taken_by_code_priors(config: RunConfig) -> str | None:
    """condition: caption needs data.scenes, and method vq_vae without conditioning."""
    method, captions = config.method, isinstance(config.condition, CaptionCondition)
    if captions and config.data.scenes is None:
        return "condition is caption, and the data has none; set data.scenes, such as 20000."
    if captions and (not method.takes_captions or method.takes_labels):
        return (
            f"condition is caption, which {method.name} does not take{' beside labels' * method.takes_captions}; use "
            f"method.name {families_where('takes_captions')} without conditioning."
        )
    return None


def scenes_have_room(config: RunConfig) -> str | None:
    """data.scenes needs images in a frame of 27 pixels or more, without method.conditioning or data.stacked."""
    data = config.data
    if data.scenes is None:
        return None
    if data.is_points:
        return (
            f"data.source {data.source} is points in the plane, and data.scenes are of images; leave data.scenes out."
        )
    if data.stacked:
        return "data.scenes and data.stacked make different images of the source's; leave one of the two out."
    if config.method.takes_labels:
        return "method.conditioning takes labels, and scenes have captions in their place; use none."
    if scene_thing(data.image_size) < SMALLEST_THING:
        return (
            f"data.image_size ({data.image_size}) is too small for data.scenes: {SCENE_SIDE} images of "
            f"{SMALLEST_THING} pixels side by side, with room to move; use {SCENE_SIDE * (SMALLEST_THING + 1)} or more."
        )
    return None


CONDITION_RULES = (
    labels_are_taken_somehow,
    images_are_given_to_some_methods,
    conditions_fit_the_images,
    captions_are_taken_by_code_priors,
    scenes_have_room,
)
