"""The networks that a method can be made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genlib.choices.section import MOST_LAYERS, MOST_UNITS, Section


class MLPConfig(Section):
    """Fully connected: for points, and for small images."""

    name: Literal["mlp"] = "mlp"
    hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [512], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer, from image to latent"
    )
    activation: Literal["relu", "tanh"] = Field("relu", description="Of encoder, decoder and generator")
    norm: Literal["none", "batch"] = Field("none", description="In the generator's or decoder's hidden layers")


class DCGANConfig(Section):
    """Strided convolutions with batch norm (Radford et al. 2015)."""

    name: Literal["dcgan"] = "dcgan"
    width: int = Field(
        64, ge=1, le=MOST_UNITS, description="Channels at the highest resolution; they double at each halving"
    )
    discriminator_norm: Literal["batch", "none"] = Field("batch", description="In the discriminator or encoder")


class ResNetConfig(Section):
    """SNGAN's residual networks; no normalization in the discriminator (Miyato et al. 2018, appendix B.4)."""

    name: Literal["resnet"] = "resnet"
    width: int = Field(256, ge=1, le=MOST_UNITS, description="Channels of the generator or decoder")
    discriminator_width: int = Field(128, ge=1, le=MOST_UNITS, description="Channels of the discriminator or encoder")
    pooling: Literal["sum", "mean"] = Field(
        "sum",
        description="Of the discriminator's or encoder's last map: the sum over its pixels as in SNGAN (Miyato et al. "
        "2018), or the mean as in WGAN-GP (Gulrajani et al. 2017)",
    )


class R3GANConfig(Section):
    """Grouped residual blocks without any normalization (Huang et al. 2024, section 4)."""

    name: Literal["r3gan"] = "r3gan"
    width: int = Field(96, ge=1, le=MOST_UNITS, description="Channels at the highest resolution")
    blocks: int = Field(2, ge=1, le=MOST_LAYERS, description="Residual blocks at each resolution")
    group_size: int = Field(16, ge=1, le=MOST_UNITS, description="Channels of a group of the 3x3 convolutions")
    expansion: int = Field(2, ge=1, le=64, description="Channels inside a block for each one outside")


class UNetConfig(Section):
    """From an image that is given to a whole one (Isola et al. 2017, appendix 6.1)."""

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


NetworkConfig = Annotated[
    MLPConfig | DCGANConfig | ResNetConfig | R3GANConfig | UNetConfig, Field(discriminator="name")
]
STRIDED = ("dcgan", "resnet", "r3gan", "unet")  # whose resolutions double from 4 to 7 pixels
