"""Settings of the network resnet; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_UNITS
from genlib.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Backbone
    from genlib.layers.shapes import ImageShape


class ResNetConfig(Network):
    """SNGAN's residual networks; no normalization in the discriminator (Miyato et al. 2018, appendix B.4)."""

    is_strided: ClassVar[bool] = True

    name: Literal["resnet"] = "resnet"
    width: int = Field(256, ge=1, le=MOST_UNITS, description="Channels of the generator or decoder")
    discriminator_width: int = Field(128, ge=1, le=MOST_UNITS, description="Channels of the discriminator or encoder")
    pooling: Literal["sum", "mean"] = Field(
        "sum",
        description="Reduction of the discriminator's or encoder's last map: the sum over its pixels as in SNGAN "
        "(Miyato et al. 2018), or the mean as in WGAN-GP (Gulrajani et al. 2017)",
    )

    @property
    def has_label_norms(self) -> bool:
        return True

    def generator_layers(self, inputs: int, shape: ImageShape, classes: int = 0) -> nn.Module:
        from genlib.networks.resnet.modules import resnet_generator

        return resnet_generator(inputs, self.width, shape, classes)

    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        from genlib.networks.resnet.modules import resnet_backbone

        return resnet_backbone(shape, self.discriminator_width, self.pooling)

    def initialize_head(self, head: nn.Linear) -> None:
        from torch import nn

        nn.init.xavier_uniform_(head.weight)
        nn.init.zeros_(head.bias)
