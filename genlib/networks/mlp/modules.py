"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from torch import nn

from genlib.layers.base import Backbone
from genlib.layers.conditional import LabelSequential, batch_norm_1d
from genlib.layers.shapes import ImageShape

Activation = Callable[[], nn.Module]
SLOPE = 0.2  # on a discriminator's negative side, so that the generator gets gradients everywhere
ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(SLOPE, inplace=True),
}


def mlp(sizes: list[int], activation: Activation = nn.ReLU) -> nn.Sequential:
    """Linear layers from sizes[0] to sizes[-1], with the activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def mlp_backbone(inputs: int, hidden_sizes: list[int], activation: Activation) -> Backbone:
    """(B, inputs) => (B, hidden_sizes[-1]), the activation last."""
    layers = [*mlp([inputs, *hidden_sizes], activation), activation()]
    return Backbone(nn.Sequential(*layers), hidden_sizes[-1], takes_vectors=True)


def mlp_generator(
    latent_size: int,
    hidden_sizes: list[int],
    shape: ImageShape,
    activation: Activation = nn.ReLU,
    norm: bool = False,
    classes: int = 0,
) -> LabelSequential:
    """(B, latent_size) => (B, *shape), the encoder's hidden sizes reversed; `classes` for a conditional norm."""
    layers: list[nn.Module] = []
    inputs = latent_size
    for outputs in reversed(hidden_sizes):
        layers.append(nn.Linear(inputs, outputs))
        if norm:
            layers.append(batch_norm_1d(outputs, classes))
        layers.append(activation())
        inputs = outputs
    return LabelSequential(*layers, nn.Linear(inputs, prod(shape)), nn.Unflatten(1, shape))
