"""From a network's configuration to its modules."""

from __future__ import annotations

from math import prod

from torch import nn

from genlib.layers.base import NOTHING, Backbone, Encoder, Given, ImageShape
from genlib.layers.conditional import Generator, GeneratorConditioning
from genlib.layers.discriminator import Discriminator, DiscriminatorConditioning
from genlib.layers.spectral_norm import apply_spectral_norm
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.dcgan.modules import dcgan_backbone, dcgan_generator, initialize
from genlib.networks.mlp.config import MLPConfig
from genlib.networks.mlp.modules import Activation, mlp_backbone, mlp_generator
from genlib.networks.r3gan.config import R3GANConfig
from genlib.networks.r3gan.modules import R3GANGenerator, r3gan_backbone, scaled
from genlib.networks.resnet.config import ResNetConfig
from genlib.networks.resnet.modules import resnet_backbone, resnet_generator
from genlib.networks.unet.config import UNetConfig
from genlib.networks.unet.modules import PatchDiscriminator, UNet, unet_backbone

SLOPE = 0.2  # of a discriminator's negative side, so that the generator gets gradients everywhere


def build_generator(
    network: Network,
    latent_size: int,
    shape: ImageShape,
    given: Given = NOTHING,
    conditioning: GeneratorConditioning = "none",
) -> Generator | UNet:
    """(latents (B, latent_size), what is given) => raw numbers (B, *shape).

    ValueError for batch_norm where there is none, and for a unet that gets no image.
    """
    inputs = latent_size + (given.numbers if conditioning == "concat" else 0)
    of_norm = given.classes if conditioning == "batch_norm" else 0
    layers: nn.Module
    match network:
        case MLPConfig():
            norm = network.norm == "batch"
            if of_norm and not norm:
                raise ValueError("batch_norm takes labels, and this mlp has none; use norm: batch, or concat.")
            layers = mlp_generator(inputs, network.hidden_sizes, shape, activation_of(network), norm, of_norm)
        case DCGANConfig():
            layers = dcgan_generator(inputs, network.width, shape, of_norm)
        case ResNetConfig():
            layers = resnet_generator(inputs, network.width, shape, of_norm)
        case R3GANConfig():
            if of_norm:
                raise ValueError("batch_norm takes labels, and r3gan has no normalization; use concat.")
            sizes = (network.width, network.blocks, network.group_size, network.expansion)
            layers = R3GANGenerator(inputs, shape, *sizes)
        case UNetConfig():
            if not given.shape:
                raise ValueError("unet goes from an image that is given to another, and there is none; use dcgan.")
            return UNet(latent_size, network.width, shape, given)
    return Generator(layers, given, conditioning)


def build_encoder(network: Network, shape: ImageShape, outputs: int, given: Given = NOTHING) -> Encoder:
    """(images (B, *shape), what is given beside them) => (B, outputs)."""
    backbone = build_backbone(network, widened(network, shape, given), activation_of(network))
    return Encoder(backbone, head_of(network, backbone, outputs), given)


def build_discriminator(
    network: Network,
    shape: ImageShape,
    given: Given = NOTHING,
    conditioning: DiscriminatorConditioning = "none",
    pack: int = 1,
    spectral_norm: bool = False,
) -> Discriminator | PatchDiscriminator:
    """(images (B, *shape), what is given) => scores (B / pack,), of a unet's for patches (B, P); ValueError for r3gan
    with spectral norm.
    """
    if isinstance(network, UNetConfig):
        patches = PatchDiscriminator(network.width, network.discriminator_layers, shape, given)
        if spectral_norm:
            apply_spectral_norm(patches)
        return patches
    own = widened(network, shape, given if conditioning == "concat" else NOTHING)
    backbone = build_backbone(network, (pack * own[0], *own[1:]), lambda: nn.LeakyReLU(SLOPE, inplace=True))
    discriminator = Discriminator(backbone, head_of(network, backbone, 1), given, conditioning, pack)
    if spectral_norm:
        apply_spectral_norm(discriminator)
    return discriminator


def build_backbone(network: Network, shape: ImageShape, activation: Activation) -> Backbone:
    """`shape` is that of its inputs, labels and packs included; `activation` is for fully connected ones."""
    match network:
        case MLPConfig():
            return mlp_backbone(prod(shape), network.hidden_sizes, activation)
        case DCGANConfig():
            return dcgan_backbone(shape, network.width, network.discriminator_norm == "batch")
        case ResNetConfig():
            return resnet_backbone(shape, network.discriminator_width, network.pooling)
        case R3GANConfig():
            sizes = (network.width, network.blocks, network.group_size, network.expansion)
            return r3gan_backbone(shape, *sizes)
        case UNetConfig():
            return unet_backbone(shape, network.width)


def widened(network: Network, shape: ImageShape, given: Given) -> ImageShape:
    """The shape of inputs with what is given beside them."""
    if isinstance(network, MLPConfig):
        return (prod(shape) + given.numbers,)
    return (shape[0] + given.channels, *shape[1:])


def head_of(network: Network, backbone: Backbone, outputs: int) -> nn.Linear:
    """From features to what is wanted of them."""
    head = nn.Linear(backbone.num_features, outputs)
    match network:
        case DCGANConfig():
            head.apply(initialize)
        case ResNetConfig():
            nn.init.xavier_uniform_(head.weight)
            nn.init.zeros_(head.bias)
        case R3GANConfig():
            scaled(head, gain=1.0)
    return head


def activation_of(network: Network) -> Activation:
    return nn.Tanh if isinstance(network, MLPConfig) and network.activation == "tanh" else nn.ReLU
