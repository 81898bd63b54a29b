"""Rules on what does not go together: each gives None, or what is wrong, why, and the remedy.

Here are the rules between sections, which belong to no choice. The others stand in the choices that they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from genlib.choices.choice import Choice, choices_below
from genlib.choices.fields import sections_below
from genlib.choices.section import Section
from genlib.config.condition_rules import CONDITION_RULES
from genlib.config.launcher import nodes_share_the_processes
from genlib.config.metrics import metrics
from genlib.methods.vae.config import VAEConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

OF_POINTS_ALONE = {"gaussian", "gaussian_learned", "gaussian_optimal"}


def points_take_gaussian_likelihoods(config: RunConfig) -> str | None:
    """Only a Gaussian likelihood is one of points in the plane; the others are of pixels."""
    method = config.method
    likelihood = getattr(method, "likelihood", "gaussian")
    if not config.data.is_points or likelihood in OF_POINTS_ALONE:
        return None
    return (
        f"method.likelihood ({likelihood}) is one of pixels, and data.source {config.data.source} is points in the "
        f"plane; use {', '.join(sorted(OF_POINTS_ALONE))}."
    )


def only_images_are_stacked_or_binarized(config: RunConfig) -> str | None:
    """data.stacked makes three channels; neither it nor data.binarize is for points."""
    data = config.data
    if data.is_points and (data.stacked or data.binarize != "none"):
        return f"data.source {data.source} is points in the plane; leave out data.stacked and data.binarize."
    if data.stacked and data.channels != 3:
        return f"data.stacked makes images of 3 channels, data.channels is {data.channels}; use 3."
    return None


def densities_are_not_of_binary_pixels(config: RunConfig) -> str | None:
    """Binary pixels take a bernoulli likelihood: a density could be concentrated on them without end."""
    likelihood = getattr(config.method, "likelihood", "bernoulli")
    if config.data.binarize == "none" or likelihood == "bernoulli":
        return None
    return (
        f"data.binarize ({config.data.binarize}) makes pixels 0 or 1, which method.likelihood ({likelihood}) is no "
        "probability of; use bernoulli."
    )


def decompositions_need_company(config: RunConfig) -> str | None:
    """beta_tc and mmd compare an image with the others of its micro-batch."""
    method, training = config.method, config.training
    part = training.batch_size // (training.parts)
    if part >= 2:
        return None
    if not isinstance(method, VAEConfig) or method.divergence.name == "kl":
        return None
    return (
        f"method.divergence ({method.divergence.name}) compares the images of a micro-batch, which has {part}; "
        "use a larger training.batch_size."
    )


def metric_is_measured(config: RunConfig) -> str | None:
    """registry.metric must be one that the features, the method, the condition and the data give."""
    return metrics()[config.registry.metric].problem(config)


BETWEEN_SECTIONS: tuple[Callable[[RunConfig], str | None], ...] = (
    points_take_gaussian_likelihoods,
    only_images_are_stacked_or_binarized,
    densities_are_not_of_binary_pixels,
    decompositions_need_company,
    metric_is_measured,
    nodes_share_the_processes,
    *CONDITION_RULES,
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
