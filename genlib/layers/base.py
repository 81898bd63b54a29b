"""What all networks share: the shapes of data, and how labels come in."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.contexts.base import Condition
from genlib.pixels.scale import enlarged

ImageShape = tuple[int, ...]  # (C, H, W) of images, (2,) of points


class DataSpec(NamedTuple):
    """What a model must know of its data."""

    shape: ImageShape
    classes: int = 0  # 0: no labels
    rows: int = 0  # of the train split
    condition: Condition | None = None  # that is an image


class Backbone(nn.Module):
    """(B, C, H, W), or (B, F) if it `takes_vectors`, => features (B, num_features)."""

    def __init__(self, layers: nn.Module, num_features: int, takes_vectors: bool = False) -> None:
        super().__init__()
        self.layers = layers
        self.num_features = num_features
        self.takes_vectors = takes_vectors

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)


class Given(NamedTuple):
    """What a conditional network takes beside its input: one of `classes` labels, or an image of a shape (K, h, w)."""

    classes: int = 0
    shape: ImageShape | None = None

    @property
    def channels(self) -> int:
        """Beside those of a map."""
        return self.shape[0] if self.shape else self.classes

    @property
    def numbers(self) -> int:
        """Beside those of a vector."""
        return prod(self.shape) if self.shape else self.classes

    def __bool__(self) -> bool:
        return self.channels > 0


NOTHING = Given()


def known(given: Tensor | None) -> Tensor:
    """ValueError for a conditional network that gets nothing."""
    if given is None:
        raise ValueError("a conditional network needs labels, or what else it was trained on; give one for each input.")
    return given


def beside(inputs: Tensor, given: Tensor | None, what: Given) -> Tensor:
    """Inputs (B, F) or (B, F, H, W) with what is given as further numbers or channels.

    Labels are one-hot, beside channels as constant planes; of images every value becomes a square of pixels.
    """
    given = known(given)
    if not what.shape:
        hot = F.one_hot(given, what.classes).to(inputs.dtype)
        planes = hot.reshape(*hot.shape, *[1] * (inputs.dim() - 2)).expand(-1, -1, *inputs.shape[2:])
        return torch.cat([inputs, planes], dim=1)
    given = given.to(inputs.dtype)
    added = given.flatten(1) if inputs.dim() == 2 else enlarged(given, inputs.shape[1:])
    return torch.cat([inputs, added], dim=1)


class Encoder(nn.Module):
    """(B, ...) => (B, outputs); what is given comes beside the input (Sohn et al. 2015)."""

    def __init__(self, backbone: Backbone, head: nn.Module, given: Given = NOTHING) -> None:
        super().__init__()
        self.backbone, self.head, self.given = backbone, head, given

    def forward(self, images: Tensor, given: Tensor | None = None) -> Tensor:
        inputs = images.flatten(1) if self.backbone.takes_vectors else images
        if self.given:
            inputs = beside(inputs, given, self.given)
        return self.head(self.backbone(inputs))


class Enlarged(nn.Module):
    """What is given, (B, K, h, w), at an image's size (C, H, W): every value a square of pixels."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, given: Tensor) -> Tensor:
        return enlarged(given, self.image_shape)
