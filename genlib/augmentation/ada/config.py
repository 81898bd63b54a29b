"""Settings of adaptive augmentation; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.augmentation import Augmentation

if TYPE_CHECKING:
    from genlib.layers.augment import Augment


class ADAConfig(Augmentation):
    """Augmentation whose probability follows the discriminator's overfitting (Karras et al. 2020)."""

    reads_signs: ClassVar[bool] = True

    name: Literal["ada"] = "ada"
    target: float = Field(0.6, ge=-1, le=1, description="Mean sign of the reals' scores that is aimed at")
    speed_images: int = Field(
        500_000, ge=1, le=10**12, description="Images over which the probability can go from 0 to 1"
    )

    def build(self) -> Augment:
        from genlib.augmentation.ada.module import AdaptiveAugment

        return AdaptiveAugment(self.target, self.speed_images)
