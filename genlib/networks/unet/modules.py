"""U-Nets (Ronneberger et al. 2015) from an image that is the condition to a whole one, for images of 8 to 128 pixels,
and the patch discriminator that scores them (Isola et al. 2017, appendix 6.1).

Strided convolutions lead to a base map of 4 to 7 pixels; the way back up gets the maps of the way down beside its own.
Latents enter at the base and, as gains and biases of every norm, on the way up. Norms are over groups of channels of
one image, so that an image does not depend on the others of its batch.
"""

from __future__ import annotations

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.base import Backbone, required, with_condition
from genlib.layers.shapes import ConditionSpec, ImageShape
from genlib.pixels.scale import enlarged
from genlib.pixels.sizes import stages

GROUPS = 8  # at most, of a norm
LARGEST = 4  # times the width, beyond which channels do not double any more
SLOPE = 0.2


def norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(GROUPS, channels), channels, affine=affine)


def widths_of(width: int, count: int) -> list[int]:
    """Channels at the full resolution and after each halving."""
    return [width * min(2**stage, LARGEST) for stage in range(count + 1)]


class Down(nn.Module):
    """(B, C, H, W) => the maps of every resolution, from the full one to the base."""

    def __init__(self, channels: int, widths: list[int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.halvings = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False), norm(outputs), nn.LeakyReLU(SLOPE)
            )
            for inputs, outputs in zip(widths, widths[1:], strict=False)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [F.leaky_relu(self.first(images), SLOPE)]
        for halving in self.halvings:
            maps.append(halving(maps[-1]))
        return maps


class Base(nn.Module):
    """The last map of the way down."""

    def __init__(self, down: Down) -> None:
        super().__init__()
        self.down = down

    def forward(self, images: Tensor) -> Tensor:
        return self.down(images)[-1]


class Modulated(nn.Module):
    """Convolution and a norm whose gain and bias come from the latents (Perez et al. 2018, eq. 1)."""

    def __init__(self, inputs: int, outputs: int, latent_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = norm(outputs, affine=False)
        self.modulation = nn.Linear(latent_size, 2 * outputs)

    def forward(self, inputs: Tensor, latents: Tensor) -> Tensor:
        gain, bias = self.modulation(latents)[:, :, None, None].chunk(2, dim=1)
        return F.relu(self.norm(self.conv(inputs)) * (1 + gain) + bias)


class UNet(nn.Module):
    """Latents (B, d) and a context (B, K, h, w) => raw pixels (B, C, H, W)."""

    def __init__(self, latent_size: int, width: int, shape: ImageShape, condition: ConditionSpec) -> None:
        super().__init__()
        base, count = stages("unet", shape)
        self.shape, widths = shape, widths_of(width, count)
        self.down = Down(condition.channels, widths)
        self.latents = nn.Sequential(
            nn.Linear(latent_size, widths[-1] * base**2), nn.Unflatten(1, (widths[-1], base, base))
        )
        self.bottom = Modulated(2 * widths[-1], widths[-1], latent_size)
        self.doublings = nn.ModuleList(
            Modulated(inputs + outputs, outputs, latent_size)
            for inputs, outputs in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(widths[0], shape[0], 3, padding=1)

    def forward(self, latents: Tensor, context: Tensor | None = None) -> Tensor:
        *sides, base = self.down(enlarged(required(context), self.shape))
        hidden = self.bottom(torch.cat([base, self.latents(latents)], dim=1), latents)
        for doubling, side in zip(self.doublings, reversed(sides), strict=True):
            larger = F.interpolate(hidden, size=side.shape[2:], mode="nearest")
            hidden = doubling(torch.cat([larger, side], dim=1), latents)
        return self.last(hidden)


def unet_backbone(shape: ImageShape, width: int) -> Backbone:
    """(B, C, H, W) => the base map, flattened."""
    base, count = stages("unet", shape)
    widths = widths_of(width, count)
    return Backbone(Base(Down(shape[0], widths)), widths[-1] * base**2)


class PatchDiscriminator(nn.Module):
    """Images (B, C, H, W) and their condition => a score for each of P patches, (B, P).

    A norm follows each halving; without `first_norm` a bias takes its place in the first (Isola et al. 2017, appendix
    6.1.2).
    """

    def __init__(
        self, width: int, layers: int, shape: ImageShape, condition: ConditionSpec, first_norm: bool = True
    ) -> None:
        super().__init__()
        widths = widths_of(width, layers)[1:]
        self.condition = condition
        found: list[nn.Module] = []
        inputs = shape[0] + condition.channels
        for outputs in widths:
            normed = bool(found) or first_norm
            found.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not normed))
            found += [norm(outputs), nn.LeakyReLU(SLOPE)] if normed else [nn.LeakyReLU(SLOPE)]
            inputs = outputs
        self.layers = nn.Sequential(*found, nn.Conv2d(inputs, 1, 3, padding=1))

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(with_condition(images, condition, self.condition)).flatten(1)
