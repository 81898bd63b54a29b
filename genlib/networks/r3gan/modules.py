"""Networks without normalization, of grouped residual blocks (Huang et al. 2024, section 4), for 8 to 128 pixels.

A base map of 4 to 7 pixels doubles to the image size; the channels halve as it does, from at most eight times the
width. Residual branches begin as nothing (Zhang et al. 2019), which is what makes normalization needless.
"""

from __future__ import annotations

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.base import Backbone
from genlib.layers.shapes import ImageShape
from genlib.pixels.sizes import stages

SLOPE = 0.2
LEAKY_GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through a leaky ReLU (He et al. 2015)
MOST_WIDTHS = 8


def scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Conv2d | nn.Linear:
    """Weights from N(0, gain^2 / inputs); biases 0."""
    nn.init.normal_(layer.weight, 0.0, gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """1x1, grouped 3x3, 1x1 convolutions, wide inside, the first two with biases and leaky ReLUs."""

    def __init__(self, width: int, expansion: int, group_size: int, blocks: int) -> None:
        super().__init__()
        inside = width * expansion
        # The variance of all `blocks` branches together stays that of one (Zhang et al. 2019, section 3).
        gain = LEAKY_GAIN * blocks**-0.25
        self.expand = scaled(nn.Conv2d(width, inside, 1), gain)
        groups = inside // gcd(inside, group_size)
        self.mix = scaled(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain)
        self.reduce = scaled(nn.Conv2d(inside, width, 1, bias=False), 0.0)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.expand(inputs), SLOPE, inplace=True)
        return inputs + self.reduce(F.leaky_relu(self.mix(hidden), SLOPE, inplace=True))


class Resample(nn.Module):
    """Twice or half the resolution, smoothed by [1, 3, 3, 1] as bilinear interpolation is, then a 1x1 convolution where
    the width changes.
    """

    def __init__(self, inputs: int, outputs: int, up: bool) -> None:
        super().__init__()
        self.up = up
        # On the CPU even where a module is built on the meta device: no file of weights holds the kernel.
        smooth = torch.tensor([1.0, 3.0, 3.0, 1.0], device="cpu") / 8
        self.register_buffer("kernel", torch.outer(smooth, smooth)[None, None], persistent=False)
        self.kernel: Tensor
        self.change = scaled(nn.Conv2d(inputs, outputs, 1, bias=False), 1.0) if inputs != outputs else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        # Narrow before doubling, widen after halving: less work, and the order makes no difference.
        if self.up:
            narrow = self.change(inputs)
            channels = narrow.shape[1]
            kernel = (4 * self.kernel).to(narrow.dtype).expand(channels, -1, -1, -1)
            return F.conv_transpose2d(narrow, kernel, stride=2, padding=1, groups=channels)
        channels = inputs.shape[1]
        kernel = self.kernel.to(inputs.dtype).expand(channels, -1, -1, -1)
        return self.change(F.conv2d(inputs, kernel, stride=2, padding=1, groups=channels))


class Basis(nn.Module):
    """A learned map, its channels scaled by a linear function of the latents."""

    def __init__(self, latent_size: int, width: int, base: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(width, base, base))
        self.scale = scaled(nn.Linear(latent_size, width, bias=False), 1.0)

    def forward(self, latents: Tensor) -> Tensor:
        return self.basis * self.scale(latents)[:, :, None, None]


def widths_of(width: int, count: int) -> list[int]:
    """Channels at each resolution, from the base up."""
    return [width * min(MOST_WIDTHS, 2**stage) for stage in reversed(range(count + 1))]


class R3GANGenerator(nn.Module):
    """(B, latent_size) => (B, C, H, W)."""

    def __init__(
        self, latent_size: int, shape: ImageShape, width: int, blocks: int, group_size: int, expansion: int
    ) -> None:
        super().__init__()
        base, count = stages("r3gan", shape)
        widths = widths_of(width, count)
        total = blocks * len(widths)
        layers: list[nn.Module] = [Basis(latent_size, widths[0], base)]
        for stage, outputs in enumerate(widths):
            if stage:
                layers.append(Resample(widths[stage - 1], outputs, up=True))
            layers += [ResidualBlock(outputs, expansion, group_size, total) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, scaled(nn.Conv2d(widths[-1], shape[0], 1, bias=False), 1.0))

    def forward(self, latents: Tensor) -> Tensor:
        return self.layers(latents)


def r3gan_backbone(shape: ImageShape, width: int, blocks: int, group_size: int, expansion: int) -> Backbone:
    """(B, C, H, W) => (B, channels at the base): the generator mirrored, ending in one filter a channel."""
    base, count = stages("r3gan", shape)
    widths = list(reversed(widths_of(width, count)))
    total = blocks * len(widths)
    layers: list[nn.Module] = [scaled(nn.Conv2d(shape[0], widths[0], 1, bias=False), 1.0)]
    for stage, outputs in enumerate(widths):
        if stage:
            layers.append(Resample(widths[stage - 1], outputs, up=False))
        layers += [ResidualBlock(outputs, expansion, group_size, total) for _ in range(blocks)]
    filters = scaled(nn.Conv2d(widths[-1], widths[-1], base, groups=widths[-1], bias=False), 1.0)
    return Backbone(nn.Sequential(*layers, filters), widths[-1])
