"""Settings of DiffAugment; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genlib.augmentation import Augmentation

if TYPE_CHECKING:
    from genlib.layers.augment import Augment


class DiffAugmentConfig(Augmentation):
    """Differentiable augmentation of reals and fakes alike (Zhao et al. 2020)."""

    name: Literal["diffaugment"] = "diffaugment"
    policy: list[Literal["color", "translation", "cutout"]] = Field(
        ["color", "translation", "cutout"],
        min_length=1,
        max_length=3,
        description="Alterations, one after another",
    )

    def build(self) -> Augment:
        from genlib.augmentation.diffaugment.module import DiffAugment

        return DiffAugment(tuple(self.policy))
