"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import nn

ImageShape = tuple[int, int, int]  # C, H, W


def mlp(sizes: list[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from sizes[0] to sizes[-1], with the activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def mlp_encoder(image_shape: ImageShape, hidden_sizes: list[int], outputs: int) -> nn.Module:
    """(B, C, H, W) => (B, outputs)."""
    return nn.Sequential(nn.Flatten(), mlp([prod(image_shape), *hidden_sizes, outputs]))


def mlp_discriminator(image_shape: ImageShape, hidden_sizes: list[int]) -> nn.Module:
    """(B, C, H, W) => (B, 1); leaky, so that the generator gets gradients everywhere."""
    layers = mlp([prod(image_shape), *hidden_sizes, 1], lambda: nn.LeakyReLU(0.2))
    return nn.Sequential(nn.Flatten(), layers)


def mlp_decoder(latent_size: int, hidden_sizes: list[int], image_shape: ImageShape) -> nn.Module:
    """(B, latent_size) => (B, C, H, W), hidden sizes in the encoder's order reversed."""
    sizes = [latent_size, *reversed(hidden_sizes), prod(image_shape)]
    return nn.Sequential(mlp(sizes), nn.Unflatten(1, image_shape))
