"""Settings of the network dcgan; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_UNITS
from genlib.networks import Network
from genlib.pixels.sizes import BASE

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Backbone
    from genlib.layers.shapes import ImageShape


class DCGANConfig(Network):
    """Strided convolutions with batch norm (Radford et al. 2015)."""

    is_strided: ClassVar[bool] = True

    name: Literal["dcgan"] = "dcgan"
    width: int = Field(
        64, ge=1, le=MOST_UNITS, description="Channels at the highest resolution; they double at each halving"
    )
    base: int = Field(
        BASE,
        ge=2,  # a batch norm needs more values than one of each image
        le=64,
        description="Pixels of the smallest map, or up to one less than twice as many, which double to the image size",
    )
    discriminator_norm: Literal["batch", "none"] = Field(
        "batch", description="Normalization in the discriminator or encoder"
    )

    @property
    def smallest_map(self) -> int:
        return self.base

    @property
    def has_label_norms(self) -> bool:
        return True

    @property
    def mixes_images(self) -> bool:
        return self.discriminator_norm == "batch"

    def generator_layers(self, inputs: int, shape: ImageShape, classes: int = 0) -> nn.Module:
        from genlib.networks.dcgan.modules import dcgan_generator

        return dcgan_generator(inputs, self.width, shape, classes, self.base)

    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        from genlib.networks.dcgan.modules import dcgan_backbone

        return dcgan_backbone(shape, self.width, self.discriminator_norm == "batch", self.base)

    def initialize_head(self, head: nn.Linear) -> None:
        from genlib.networks.dcgan.modules import initialize

        initialize(head)
