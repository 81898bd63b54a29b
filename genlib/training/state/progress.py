"""How far a training has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass
class Progress:
    """Steps done, and images seen in them."""

    step: int = 0
    images: int = 0
    keys: ClassVar[tuple[str, ...]] = ("step", "images")

    def advance(self, images: int) -> None:
        """Count a step of `images` images."""
        self.step += 1
        self.images += images

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, saved: Mapping[str, Any], /) -> None:
        self.step, self.images = saved.get("step", 0), saved.get("images", 0)
