"""The networks of DCGAN (Radford et al. 2015, section 3), for images of 8 to 128 pixels.

Strided convolutions in place of pooling, batch norm everywhere but at the generator's output and the discriminator's
input, ReLU in the generator, LeakyReLU in the discriminator, weights from N(0, 0.02). A base map, of 4 to 7 pixels
unless `base` says otherwise, doubles to the image size; the channels halve as it does.
"""

from __future__ import annotations

from torch import nn

from genlib.layers.base import Backbone
from genlib.layers.conditional import ConditionalBatchNorm, LabelSequential, batch_norm_2d
from genlib.layers.shapes import ImageShape
from genlib.pixels.sizes import BASE, stages


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions and linear layers, N(1, 0.02) for batch norm's gain, 0 for biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, ConditionalBatchNorm):
        nn.init.normal_(module.gain.weight, 1.0, 0.02)


def dcgan_generator(
    latent_size: int, width: int, shape: ImageShape, classes: int = 0, base: int = BASE
) -> LabelSequential:
    """(B, latent_size) => (B, C, H, W); `classes` for conditional batch norm."""
    base, count = stages("dcgan", shape, base)
    widths = [width * 2**stage for stage in reversed(range(count))]
    layers: list[nn.Module] = [nn.Unflatten(1, (-1, 1, 1))]
    layers += [nn.ConvTranspose2d(latent_size, widths[0], base, bias=False)]
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [batch_norm_2d(inputs, classes), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)]
    layers += [batch_norm_2d(width, classes), nn.ReLU(inplace=True)]
    layers += [nn.ConvTranspose2d(width, shape[0], 4, stride=2, padding=1)]
    return LabelSequential(*layers).apply(initialize)


def dcgan_backbone(shape: ImageShape, width: int, norm: bool = True, base: int = BASE) -> Backbone:
    """(B, C, H, W) => the last map of channels, flattened."""
    base, count = stages("dcgan", shape, base)
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    for stage in range(1, count):
        inputs, outputs = width * 2 ** (stage - 1), width * 2**stage
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not norm))
        if norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
    features = width * 2 ** (count - 1) * base**2
    return Backbone(nn.Sequential(*layers), features).apply(initialize)
