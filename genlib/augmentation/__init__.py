"""Differentiable augmentations of what a discriminator sees, a file or folder each."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.augment import Augment


class Augmentation(Choice):
    """Augmentation of reals and fakes alike."""

    folder: ClassVar[str] = "genlib.augmentation"
    noun: ClassVar[str] = "augmentation"
    training_only: ClassVar[tuple[str, ...]] = ("build",)
    alters_images: ClassVar[bool] = True
    reads_signs: ClassVar[bool] = False  # whether it goes by the sign of the reals' scores

    @abstractmethod
    def build(self) -> Augment:
        """The module that augments."""

    @rule
    def augmentations_alter_pixels(self, run: RunConfig, key: str) -> str | None:
        """augmentation is for images, not for points in the plane."""
        if not self.alters_images or not run.data.is_points:
            return None
        return f"{key} ({self.name}) alters pixels, and data.source {run.data.source} has none; use {key}.name=none."

    @rule
    def augmentations_leave_conditions(self, run: RunConfig, key: str) -> str | None:
        """augmentation does not go with a condition that is an image, which it would move images away from."""
        if not self.alters_images or not run.condition.is_image:
            return None
        return (
            f"{key} ({self.name}) moves images away from their condition ({run.condition.name}); use {key}.name=none."
        )
