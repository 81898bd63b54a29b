"""Settings of the network unet; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import MOST_UNITS
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec, ImageShape
from genlib.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from genlib.config.run import RunConfig
    from genlib.layers.base import Backbone
    from genlib.layers.conditional import GeneratorConditioning
    from genlib.layers.discriminator import DiscriminatorConditioning


class UNetConfig(Network):
    """A U-Net from an image that is the condition to a whole one (Isola et al. 2017, appendix 6.1)."""

    is_strided: ClassVar[bool] = True
    needs_condition_image: ClassVar[bool] = True

    name: Literal["unet"] = "unet"
    width: int = Field(
        32, ge=1, le=MOST_UNITS, description="Channels at the highest resolution; the first two halvings double them"
    )
    discriminator_layers: int = Field(
        2,
        ge=1,
        le=7,
        description="Halvings in the patch discriminator: the more, the larger the patches that it scores",
    )
    discriminator_first_norm: bool = Field(
        True, description="Normalization after the patch discriminator's first halving; false: as in Isola et al. 2017"
    )

    @property
    def takes_condition_image(self) -> bool:
        return True

    def generator(
        self,
        latent_size: int,
        shape: ImageShape,
        condition: ConditionSpec = UNCONDITIONAL,
        conditioning: GeneratorConditioning = "none",
    ) -> nn.Module:
        """The condition enters by the way down, whatever the conditioning; ValueError if it is no image."""
        from genlib.networks.unet.modules import UNet

        if not condition.shape:
            raise ValueError("unet goes from an image that is the condition to another, and there is none; use dcgan.")
        return UNet(latent_size, self.width, shape, condition)

    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        from genlib.networks.unet.modules import unet_backbone

        return unet_backbone(shape, self.width)

    def unnormalized_discriminator(
        self, shape: ImageShape, condition: ConditionSpec, conditioning: DiscriminatorConditioning, pack: int
    ) -> nn.Module:
        """(images (B, *shape), the condition beside them) => scores of patches (B, P)."""
        from genlib.networks.unet.modules import PatchDiscriminator

        layers, first_norm = self.discriminator_layers, self.discriminator_first_norm
        return PatchDiscriminator(self.width, layers, shape, condition, first_norm)

    @rule
    def patches_fit_the_image_size(self, run: RunConfig, key: str) -> str | None:
        """unet's discriminator_layers halve the image, which must be 2 pixels or more before each."""
        size, layers = run.data.image_size, self.discriminator_layers
        most = size.bit_length() - 1
        if self is not run.method.judging_network or layers <= most:
            return None
        return f"{key}.discriminator_layers ({layers}) cannot halve data.image_size ({size}) so often; use {most}."
