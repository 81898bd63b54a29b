"""Settings of the network dcgan; free of torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genlib.choices.section import MOST_UNITS
from genlib.networks import Network


class DCGANConfig(Network):
    """Strided convolutions with batch norm (Radford et al. 2015)."""

    name: Literal["dcgan"] = "dcgan"
    width: int = Field(
        64, ge=1, le=MOST_UNITS, description="Channels at the highest resolution; they double at each halving"
    )
    discriminator_norm: Literal["batch", "none"] = Field("batch", description="In the discriminator or encoder")

    @property
    def has_label_norms(self) -> bool:
        return True

    @property
    def mixes_images(self) -> bool:
        return self.discriminator_norm == "batch"
