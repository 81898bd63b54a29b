"""Rules on what does not go together: each gives None, or what is wrong, why, and the remedy.

Here are the rules between sections, which belong to no choice. The others stand in the choices that they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from genlib.choices.choice import Choice, choices_below
from genlib.choices.fields import sections_below
from genlib.choices.section import Section
from genlib.config.launcher import nodes_share_the_processes
from genlib.config.metrics import metrics
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_cell

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def only_images_are_stacked_or_binarized(config: RunConfig) -> str | None:
    """data.stacked makes three channels; neither it nor data.binarize is for points."""
    data = config.data
    if data.is_points and (data.stacked or data.binarize != "none"):
        return f"data.source {data.source} is points in the plane; leave out data.stacked and data.binarize."
    if data.stacked and data.channels != 3:
        return f"data.stacked makes images of 3 channels, data.channels is {data.channels}; use 3."
    return None


def metric_is_measured(config: RunConfig) -> str | None:
    """registry.metric must be one that the features, the method, the condition and the data give."""
    return metrics()[config.registry.metric].problem(config)


def baseline_is_measured(config: RunConfig) -> str | None:
    """registry.baseline=require needs a registry.metric of samples, and a model of images without a condition, which
    labels may have, since the baseline is of such samples.
    """
    metric, registry = metrics()[config.registry.metric], config.registry
    if registry.baseline != "require" or (metric.is_of_baseline and not config.condition.has_context):
        return None
    why = (
        f"draws without a condition, and condition is {config.condition.name}"
        if config.condition.has_context
        else f"has no {metric.name} (registry.metric)"
    )
    return f"registry.baseline is require, but the baseline, a Gaussian mixture, {why}; use warn or ignore."


def scenes_have_room(config: RunConfig) -> str | None:
    """data.scenes needs images in a frame of 24 pixels or more, without method.conditioning or data.stacked."""
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
    if scene_cell(data.image_size) < SMALLEST_THING:
        return (
            f"data.image_size ({data.image_size}) is too small for data.scenes: {SCENE_SIDE} images of "
            f"{SMALLEST_THING} pixels side by side; use {SCENE_SIDE * SMALLEST_THING} or more."
        )
    return None


def only_images_without_captions_are_mirrored(config: RunConfig) -> str | None:
    """data.mirror is for images, and not for data.scenes, whose captions name left and right."""
    data = config.data
    if not data.mirror:
        return None
    if data.is_points:
        return f"data.source {data.source} is points in the plane, which data.mirror is not for; leave it out."
    if data.scenes is not None:
        return "data.mirror exchanges left and right, which the captions of data.scenes name; leave one of the two out."
    return None


BETWEEN_SECTIONS: tuple[Callable[[RunConfig], str | None], ...] = (
    only_images_are_stacked_or_binarized,
    metric_is_measured,
    baseline_is_measured,
    nodes_share_the_processes,
    scenes_have_room,
    only_images_without_captions_are_mirrored,
)


def problems_of(run: RunConfig) -> Iterator[str]:
    """The problems of a run: by the rules of every choice in it, then by those between sections."""
    for key, choice in choices_below(run):
        for _, rule_of_choice in choice.rules():
            if problem := rule_of_choice(choice, run, key):
                yield problem
    for rule in BETWEEN_SECTIONS:
        if problem := rule(run):
            yield problem


def all_rules(section: type[Section]) -> dict[str, str]:
    """The docstring of every rule by its name: those between sections, and those of all choices below a section."""
    found = {rule.__name__: rule.__doc__ or "" for rule in BETWEEN_SECTIONS}
    for choice in sections_below(section):
        if issubclass(choice, Choice):
            found |= {name: rule.__doc__ or "" for name, rule in choice.rules()}
    return found
