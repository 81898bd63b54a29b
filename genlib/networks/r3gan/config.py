"""Settings of the network r3gan; free of torch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_LAYERS, MOST_UNITS
from genlib.networks import Network


class R3GANConfig(Network):
    """Grouped residual blocks without any normalization (Huang et al. 2024, section 4)."""

    spectral_norm_works: ClassVar[bool] = False

    name: Literal["r3gan"] = "r3gan"
    width: int = Field(96, ge=1, le=MOST_UNITS, description="Channels at the highest resolution")
    blocks: int = Field(2, ge=1, le=MOST_LAYERS, description="Residual blocks at each resolution")
    group_size: int = Field(16, ge=1, le=MOST_UNITS, description="Channels of a group of the 3x3 convolutions")
    expansion: int = Field(2, ge=1, le=64, description="Channels inside a block for each one outside")
