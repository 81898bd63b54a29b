"""From a network's configuration to its modules."""

from __future__ import annotations

from torch import nn

from genlib.config import DCGANConfig, MLPConfig
from genlib.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genlib.networks.mlp import ImageShape, mlp_decoder, mlp_discriminator, mlp_encoder

Network = MLPConfig | DCGANConfig


def build_encoder(network: Network, image_shape: ImageShape, outputs: int) -> nn.Module:
    """(B, C, H, W) => (B, outputs)."""
    match network:
        case MLPConfig():
            return mlp_encoder(image_shape, network.hidden_sizes, outputs)
        case DCGANConfig():
            return DCGANDiscriminator(image_shape, network.width, outputs)


def build_decoder(network: Network, latent_size: int, image_shape: ImageShape) -> nn.Module:
    """(B, latent_size) => raw pixels (B, C, H, W)."""
    match network:
        case MLPConfig():
            return mlp_decoder(latent_size, network.hidden_sizes, image_shape)
        case DCGANConfig():
            return DCGANGenerator(latent_size, network.width, image_shape)


def build_discriminator(network: Network, image_shape: ImageShape) -> nn.Module:
    """(B, C, H, W) => (B, 1), a logit."""
    match network:
        case MLPConfig():
            return mlp_discriminator(image_shape, network.hidden_sizes)
        case DCGANConfig():
            return DCGANDiscriminator(image_shape, network.width, outputs=1)
