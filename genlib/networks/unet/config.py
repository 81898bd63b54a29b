"""Settings of the network unet; free of torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_UNITS
from genlib.networks import Network


class UNetConfig(Network):
    """From an image that is given to a whole one (Isola et al. 2017, appendix 6.1)."""

    needs_condition_image: ClassVar[bool] = True
    scores_patches: ClassVar[bool] = True

    name: Literal["unet"] = "unet"
    width: int = Field(
        32, ge=1, le=MOST_UNITS, description="Channels at the highest resolution; the first two halvings double them"
    )
    discriminator_layers: int = Field(
        2,
        ge=1,
        le=7,
        description="Halvings of the patch discriminator, whose scores are of patches the larger the more",
    )

    @property
    def takes_condition_image(self) -> bool:
        return True
