"""Inception v3 as the published Fréchet Inception Distances use it (Szegedy et al. 2015; Heusel et al. 2017).

The weights are TensorFlow's of 2015-12-05 with their names in the PyTorch port. That network differs from the paper's
in its pooling branches: averages leave the padding out, and the last block takes a maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlib.errors import UserError
from genlib.evaluation.extractors.inception.config import WHERE_TO_GET_IT, check_weights_file
from genlib.evaluation.features import Extractor

INPUT_SIZE, NUM_FEATURES, CLASSES = 299, 2048, 1008

Pool = Callable[[Tensor], Tensor]
average_pool: Pool = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
max_pool: Pool = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
halving_pool: Pool = partial(F.max_pool2d, kernel_size=3, stride=2)


def resize(images: Tensor, size: int = INPUT_SIZE) -> Tensor:
    """float (N, C, H, W) => float (N, C, size, size), bilinear.

    As TensorFlow 1 does it without align_corners and half_pixel_centers: output i looks at input i * in / out.
    """
    for dim in (3, 2):
        length = images.shape[dim]
        position = torch.arange(size, device=images.device, dtype=torch.float32) * (length / size)
        lower = position.floor().long().clamp(max=length - 1)
        upper = (lower + 1).clamp(max=length - 1)
        weight = (position - lower).reshape(-1, *[1] * (3 - dim))
        low, high = images.index_select(dim, lower), images.index_select(dim, upper)
        images = low + (high - low) * weight
    return images


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU. Padded to keep its size unless told otherwise."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(maps)))


Layer = tuple[str, int, int | tuple[int, int]]  # name, output channels, kernel
Branch = list[Layer | list[Layer]]  # one layer after another; a list at the end forks, side by side


class Mixed(nn.Module):
    """Branches side by side, then a pooled one, their channels joined.

    The pooled branch goes through a convolution to `pooled` channels; where there is none, the block halves the map:
    each branch ends in a convolution of stride 2 without padding.
    """

    def __init__(self, inputs: int, branches: list[Branch], pool: Pool, pooled: int | None) -> None:
        super().__init__()
        self.pool, self.halves = pool, pooled is None
        self.branches: list[list[list[str]]] = []  # of each branch, the names of its layers, forks spelt out
        for branch in branches:
            channels, steps = inputs, []
            for position, step in enumerate(branch):
                layers = step if isinstance(step, list) else [step]
                reduces = self.halves and position == len(branch) - 1
                for name, outputs, kernel in layers:
                    stride = 2 if reduces else 1
                    self.add_module(name, Convolution(channels, outputs, kernel, stride, padded=not reduces))
                channels = layers[-1][1]
                steps.append([name for name, *_ in layers])
            self.branches.append(steps)
        if pooled is not None:
            self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, maps: Tensor) -> Tensor:
        joined = []
        for steps in self.branches:
            ends = [maps]
            for names in steps:
                ends = [self.get_submodule(name)(ends[0]) for name in names]
            joined += ends
        pooled = self.pool(maps)
        return torch.cat([*joined, pooled if self.halves else self.branch_pool(pooled)], dim=1)


def mixed_35(inputs: int, pooled: int) -> Mixed:
    """On 35 x 35 maps: to 224 channels and the pooled ones."""
    branches: list[Branch] = [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
    ]
    return Mixed(inputs, branches, average_pool, pooled)


def mixed_17(middle: int) -> Mixed:
    """On 17 x 17 maps: 768 channels to 768, by way of `middle`."""
    row, column = (1, 7), (7, 1)
    branches: list[Branch] = [
        [("branch1x1", 192, 1)],
        [("branch7x7_1", middle, 1), ("branch7x7_2", middle, row), ("branch7x7_3", 192, column)],
        [
            ("branch7x7dbl_1", middle, 1),
            ("branch7x7dbl_2", middle, column),
            ("branch7x7dbl_3", middle, row),
            ("branch7x7dbl_4", middle, column),
            ("branch7x7dbl_5", 192, row),
        ],
    ]
    return Mixed(768, branches, average_pool, 192)


def mixed_8(inputs: int, pool: Pool) -> Mixed:
    """On 8 x 8 maps: to 2048 channels."""
    row, column = (1, 3), (3, 1)
    branches: list[Branch] = [
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), [("branch3x3_2a", 384, row), ("branch3x3_2b", 384, column)]],
        [
            ("branch3x3dbl_1", 448, 1),
            ("branch3x3dbl_2", 384, 3),
            [("branch3x3dbl_3a", 384, row), ("branch3x3dbl_3b", 384, column)],
        ],
    ]
    return Mixed(inputs, branches, pool, 192)


class Inception(nn.Module):
    """uint8 (N, 1 or 3, H, W) => pool3 features (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        self.Mixed_5b = mixed_35(192, pooled=32)
        self.Mixed_5c = mixed_35(256, pooled=64)
        self.Mixed_5d = mixed_35(288, pooled=64)
        to_17: list[Branch] = [
            [("branch3x3", 384, 3)],
            [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        ]
        self.Mixed_6a = Mixed(288, to_17, halving_pool, pooled=None)
        self.Mixed_6b = mixed_17(middle=128)
        self.Mixed_6c = mixed_17(middle=160)
        self.Mixed_6d = mixed_17(middle=160)
        self.Mixed_6e = mixed_17(middle=192)
        to_8: list[Branch] = [
            [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)],
            [
                ("branch7x7x3_1", 192, 1),
                ("branch7x7x3_2", 192, (1, 7)),
                ("branch7x7x3_3", 192, (7, 1)),
                ("branch7x7x3_4", 192, 3),
            ],
        ]
        self.Mixed_7a = Mixed(768, to_8, halving_pool, pooled=None)
        self.Mixed_7b = mixed_8(1280, average_pool)
        self.Mixed_7c = mixed_8(2048, max_pool)
        self.fc = nn.Linear(NUM_FEATURES, CLASSES)  # unused; the published file has it

    def forward(self, images: Tensor) -> Tensor:
        maps = (resize(images.float()).expand(-1, 3, -1, -1) - 128) / 128
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(maps)))
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(halving_pool(maps)))
        maps = halving_pool(maps)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                maps = block(maps)
        return maps.mean((2, 3))


def inception_extractor(weights: Path, sha256: str) -> Extractor:
    """The TF-Inception extractor from a weights file with this SHA-256; UserError if it is something else."""
    check_weights_file(weights, sha256)
    network = Inception()
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        missing, unexpected = network.load_state_dict(state, strict=False)
    except Exception as error:  # Whatever torch.load meets in a file that is something else.
        raise UserError(
            f"{weights} holds no TF-Inception weights ({type(error).__name__}); {WHERE_TO_GET_IT}."
        ) from error
    differing = [name for name in [*missing, *unexpected] if not name.endswith("num_batches_tracked")]
    if differing:
        raise UserError(
            f"{weights} differs from the TF-Inception weights in {len(differing)} names, {differing[0]} first; "
            f"{WHERE_TO_GET_IT}."
        )
    facts = {"layer": "pool3", "resize": "TensorFlow 1 bilinear to 299"}
    return Extractor("inception", network, NUM_FEATURES, sha256, facts)
