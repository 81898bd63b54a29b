"""Conditions of a model beside its noise, a file or folder each: settings, and the contexts that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule
from genlib.choices.discovery import kind_of_choice, names_where

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.contexts.base import Condition, Shape


class ConditionConfig(Choice):
    """The condition that a model takes beside its noise."""

    folder: ClassVar[str] = "genlib.conditions"
    noun: ClassVar[str] = "condition"
    is_label: ClassVar[bool] = False  # a label, which method.conditioning takes
    is_image: ClassVar[bool] = False  # an image, made from the one that is to be drawn
    is_text: ClassVar[bool] = False  # words, which the dataset stores
    counts_all_pixels: ClassVar[bool] = True  # whether a likelihood is over all pixels, also those that are known

    @property
    def has_context(self) -> bool:
        """Whether networks take a context in the place of labels."""
        return self.is_image or self.is_text

    def build(self, image_shape: Shape, names: Sequence[str] | None = None) -> Condition | None:
        """The contexts of images (C, H, W); `names` are those of the things in data.scenes. None without contexts.

        UserError where images of this shape, or data without names, cannot have the condition.
        """
        return None


class ImageConditionConfig(ConditionConfig):
    """p(image | an image that was made from it)."""

    is_image: ClassVar[bool] = True

    @rule
    def takes_the_place_of_labels(self, run: RunConfig, key: str) -> str | None:
        """A condition that is an image goes without method.conditioning, which takes labels."""
        if not run.method.takes_labels:
            return None
        return (
            f"{key} is {self.name}, and method.conditioning takes labels; use one of the two: "
            "method.conditioning=none, or condition.name=label."
        )

    @rule
    def is_made_from_images(self, run: RunConfig, key: str) -> str | None:
        """A condition that is an image is made from images, not from points in the plane."""
        if not run.data.is_points:
            return None
        return (
            f"{key} is {self.name}, and data.source {run.data.source} is points in the plane; use condition.name=none."
        )

    @rule
    def needs_a_method_that_takes_images(self, run: RunConfig, key: str) -> str | None:
        """A condition that is an image needs a method that takes one."""
        if run.method.takes_condition_image:
            return None
        families = names_where(kind_of_choice(run.method), "takes_condition_image")
        return f"{key} is {self.name}, which {run.method.name} does not take; use method.name {families}."
