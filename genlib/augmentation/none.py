"""No augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.augmentation import Augmentation

if TYPE_CHECKING:
    from genlib.layers.augment import Augment


class NoAugmentation(Augmentation):
    """No augmentation."""

    alters_images: ClassVar[bool] = False

    name: Literal["none"] = "none"

    def build(self) -> Augment:
        from genlib.layers.augment import Augment

        return Augment()
