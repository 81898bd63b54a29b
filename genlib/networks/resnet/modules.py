"""SNGAN's residual networks (Miyato et al. 2018, appendix B.4, tables 3 and 4), for images of 8 to 128 pixels.

A base map of 4 to 7 pixels doubles to the image size. The width is the same at all resolutions up to the third doubling
and halves with each one beyond, so that larger images fit into memory.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.base import Backbone
from genlib.layers.conditional import LabelAware, LabelSequential, batch_norm_2d
from genlib.layers.shapes import ImageShape
from genlib.pixels.sizes import stages

Pooling = Literal["sum", "mean"]
FULL_WIDTH_DOUBLINGS = 3
BLOCKS_AT_THE_END = 2  # of the discriminator, without pooling


def conv(inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    """Same size; Xavier uniform with a gain, bias 0."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class UpBlock(LabelAware):
    """Norm, ReLU, doubling, convolution, norm, ReLU, convolution; beside it a doubling and a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int, classes: int = 0) -> None:
        super().__init__()
        self.first_norm = batch_norm_2d(inputs, classes)
        self.first = conv(inputs, outputs, 3, gain=2**0.5)
        self.second_norm = batch_norm_2d(outputs, classes)
        self.second = conv(outputs, outputs, 3, gain=2**0.5)
        self.shortcut = conv(inputs, outputs, 1)
        self.conditional = classes > 0

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        hidden = self.first(doubled(F.relu(self._norm(self.first_norm, inputs, labels))))
        hidden = self.second(F.relu(self._norm(self.second_norm, hidden, labels)))
        return hidden + doubled(self.shortcut(inputs))

    def _norm(self, norm: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
        return norm(inputs, labels) if self.conditional else norm(inputs)


class DownBlock(nn.Module):
    """ReLU, convolution, ReLU, convolution, pooling; beside it a 1x1 convolution where the shape changes.

    The first block of a network leaves out the first ReLU, for its input is an image.
    """

    def __init__(self, inputs: int, outputs: int, pools: bool = True, first: bool = False) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, 3, gain=2**0.5)
        self.second = conv(outputs, outputs, 3, gain=2**0.5)
        self.shortcut = conv(inputs, outputs, 1) if pools or inputs != outputs else nn.Identity()
        self.pools, self.sees_images = pools, first

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs if self.sees_images else F.relu(inputs))
        hidden = self.second(F.relu(hidden))
        if not self.pools:
            return hidden + self.shortcut(inputs)
        # Pooling first is the same for a 1x1 convolution, and a quarter of the work.
        return F.avg_pool2d(hidden, 2) + self.shortcut(F.avg_pool2d(inputs, 2))


class Pool(nn.Module):
    """ReLU, and the sum over all pixels (Miyato et al. 2018, table 4) or their mean (Gulrajani et al. 2017, appendix
    F), (B, C, H, W) => (B, C).
    """

    def __init__(self, pooling: Pooling = "sum") -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, inputs: Tensor) -> Tensor:
        positive = F.relu(inputs)
        return positive.sum((2, 3)) if self.pooling == "sum" else positive.mean((2, 3))


def doubled(images: Tensor) -> Tensor:
    """Each pixel four times."""
    return F.interpolate(images, scale_factor=2, mode="nearest")


def widths_of(width: int, count: int) -> list[int]:
    """Channels after each doubling, from the base up."""
    return [max(1, width >> max(0, stage + 1 - FULL_WIDTH_DOUBLINGS)) for stage in range(count)]


def resnet_generator(latent_size: int, width: int, shape: ImageShape, classes: int = 0) -> LabelSequential:
    """(B, latent_size) => (B, C, H, W); `classes` for conditional batch norm."""
    base, count = stages("resnet", shape)
    first = nn.Linear(latent_size, width * base**2)
    nn.init.xavier_uniform_(first.weight)
    nn.init.zeros_(first.bias)
    widths = [width, *widths_of(width, count)]
    blocks = [UpBlock(inputs, outputs, classes) for inputs, outputs in zip(widths, widths[1:], strict=False)]
    last = [batch_norm_2d(widths[-1], classes), nn.ReLU(inplace=True), conv(widths[-1], shape[0], 3)]
    return LabelSequential(first, nn.Unflatten(1, (width, base, base)), *blocks, *last)


def resnet_backbone(shape: ImageShape, width: int, pooling: Pooling = "sum") -> Backbone:
    """(B, C, H, W) => (B, width), without any normalization."""
    _, count = stages("resnet", shape)
    widths = list(reversed(widths_of(width, count)))[: max(1, count - 1)]
    blocks: list[nn.Module] = []
    inputs = shape[0]
    for outputs in widths:
        blocks.append(DownBlock(inputs, outputs, first=not blocks))
        inputs = outputs
    for _ in range(BLOCKS_AT_THE_END):
        blocks.append(DownBlock(inputs, width, pools=False))
        inputs = width
    return Backbone(nn.Sequential(*blocks, Pool(pooling)), width)
