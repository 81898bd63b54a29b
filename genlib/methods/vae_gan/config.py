"""Settings of the VAE-GAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_UNITS,
)
from genlib.methods import ConditionalMethod
from genlib.models.optimizer import OptimizerConfig
from genlib.models.settings import LatentsSection
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig

if TYPE_CHECKING:
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class VAEGANConfig(LatentsSection, ConditionalMethod):
    """A VAE whose reconstruction is measured in a discriminator's features (Larsen et al. 2016)."""

    is_adversarial: ClassVar[bool] = True

    name: Literal["vae_gan"] = "vae_gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Architecture of encoder, decoder and discriminator")
    latent_size: int = Field(64, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat"] = Field(
        "none", description="Way in which encoder, decoder and discriminator take labels"
    )
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    gamma: float = Field(
        1e-3, ge=0, le=LARGEST_WEIGHT, description="Weight of the reconstruction against the adversarial loss"
    )
    encoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Optimizer of the encoder's weights"
    )
    decoder_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Optimizer of the decoder's weights"
    )
    discriminator_optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=3e-4), description="Optimizer of the discriminator's weights"
    )

    @property
    def judging_network(self) -> Network:
        return self.network

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.vae_gan.method import VAEGAN, VAEGANModel, discriminator_of_features

        given = self.given_of(data)
        sampler = self.build_sampler(data)
        encoder = self.network.encoder(data.shape, 2 * self.latent_size, given)
        return VAEGAN(
            VAEGANModel(encoder, sampler),
            discriminator_of_features(self.network, data.shape, given, self.conditioning),
            self.encoder_optimizer,
            self.decoder_optimizer,
            self.discriminator_optimizer,
            self.beta,
            self.gamma,
        )

    def build_sampler(self, data: DataSpec) -> Sampler:
        from genlib.layers.outputs import default_output
        from genlib.models.latents import fitted_latents
        from genlib.models.sampler import Sampler

        given = self.given_of(data)
        decoder = self.network.generator(self.latent_size, data.shape, given, self.conditioning)
        latents = fitted_latents(self.latents, self.latent_size, self.mixture_components)
        return Sampler(decoder, self.latent_size, default_output(data.shape), given.classes, latents)
