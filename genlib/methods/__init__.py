"""Generative models, one file a family, and the step from their configuration to a Method."""

from __future__ import annotations

from genlib.config import GANConfig, VAEConfig
from genlib.losses.adversarial import LOSSES
from genlib.methods.base import Batch, LatentVariableMethod, Losses, Method, Phase, Posterior, Sampler
from genlib.methods.gan import GAN
from genlib.methods.vae import VAE
from genlib.networks.build import build_decoder, build_discriminator, build_encoder
from genlib.networks.mlp import ImageShape

__all__ = [
    "GAN",
    "VAE",
    "Batch",
    "LatentVariableMethod",
    "Losses",
    "Method",
    "Phase",
    "Posterior",
    "Sampler",
    "build_method",
]


def build_method(config: VAEConfig | GANConfig, image_shape: ImageShape) -> Method:
    """The method that a configuration describes, its weights drawn from the global generator."""
    network = config.network
    decoder = build_decoder(network, config.latent_size, image_shape)
    match config:
        case VAEConfig():
            gaussian = config.likelihood == "gaussian"
            return VAE(
                encoder=build_encoder(network, image_shape, 2 * config.latent_size),
                decoder=Sampler(decoder, config.latent_size, "tanh" if gaussian else "sigmoid"),
                sigma=config.sigma if gaussian else None,
                optimizer=config.optimizer,
            )
        case GANConfig():
            return GAN(
                generator=Sampler(decoder, config.latent_size),
                discriminator=build_discriminator(network, image_shape),
                adversarial_loss=LOSSES[config.loss],
                generator_optimizer=config.generator_optimizer,
                discriminator_optimizer=config.discriminator_optimizer,
                discriminator_steps=config.discriminator_steps,
            )
