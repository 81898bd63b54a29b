"""Settings of the network r3gan; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_LAYERS, MOST_UNITS
from genlib.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Backbone
    from genlib.layers.shapes import ImageShape


class R3GANConfig(Network):
    """Grouped residual blocks without any normalization (Huang et al. 2024, section 4)."""

    is_strided: ClassVar[bool] = True
    spectral_norm_works: ClassVar[bool] = False

    name: Literal["r3gan"] = "r3gan"
    width: int = Field(96, ge=1, le=MOST_UNITS, description="Channels at the highest resolution")
    blocks: int = Field(2, ge=1, le=MOST_LAYERS, description="Residual blocks at each resolution")
    group_size: int = Field(16, ge=1, le=MOST_UNITS, description="Channels of a group of the 3x3 convolutions")
    expansion: int = Field(2, ge=1, le=64, description="Channels inside a block for each one outside")

    def generator_layers(self, inputs: int, shape: ImageShape, classes: int = 0) -> nn.Module:
        from genlib.networks.r3gan.modules import R3GANGenerator

        return R3GANGenerator(inputs, shape, self.width, self.blocks, self.group_size, self.expansion)

    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        from genlib.networks.r3gan.modules import r3gan_backbone

        return r3gan_backbone(shape, self.width, self.blocks, self.group_size, self.expansion)

    def initialize_head(self, head: nn.Linear) -> None:
        from genlib.networks.r3gan.modules import scaled

        scaled(head, gain=1.0)
