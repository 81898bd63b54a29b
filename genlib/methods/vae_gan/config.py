"""Settings of the VAE-GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_UNITS,
)
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.models.settings import LatentsSection
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig


class VAEGANConfig(LatentsSection, MethodConfig):
    """A VAE whose reconstruction is measured in a discriminator's features (Larsen et al. 2016)."""

    is_adversarial: ClassVar[bool] = True

    name: Literal["vae_gan"] = "vae_gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Of encoder, decoder and discriminator")
    latent_size: int = Field(64, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat"] = Field(
        "none", description="How encoder, decoder, discriminator get labels"
    )
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    gamma: float = Field(
        1e-3, ge=0, le=LARGEST_WEIGHT, description="Weight of the reconstruction against the adversarial loss"
    )
    encoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the encoder's weights"
    )
    decoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the decoder's weights"
    )
    discriminator_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Of the discriminator's weights"
    )
