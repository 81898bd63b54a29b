"""What all networks share: the shapes of data, and how labels come in."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ImageShape = tuple[int, ...]  # (C, H, W) of images, (2,) of points


class DataSpec(NamedTuple):
    """What a model must know of its data."""

    shape: ImageShape
    classes: int = 0  # 0: no labels
    rows: int = 0  # of the train split


class Backbone(nn.Module):
    """(B, C, H, W), or (B, F) if it `takes_vectors`, => features (B, num_features)."""

    def __init__(self, layers: nn.Module, num_features: int, takes_vectors: bool = False) -> None:
        super().__init__()
        self.layers = layers
        self.num_features = num_features
        self.takes_vectors = takes_vectors

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).flatten(1)


def known_labels(labels: Tensor | None) -> Tensor:
    """ValueError for a conditional network that gets none."""
    if labels is None:
        raise ValueError("a conditional network needs labels; give one for each input.")
    return labels


def with_labels(inputs: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """One-hot labels beside vectors, or as constant planes beside channels: (B, F, ...) => (B, F + classes, ...)."""
    hot = F.one_hot(known_labels(labels), classes).to(inputs.dtype)
    planes = hot.reshape(*hot.shape, *[1] * (inputs.dim() - 2)).expand(-1, -1, *inputs.shape[2:])
    return torch.cat([inputs, planes], dim=1)


class Encoder(nn.Module):
    """(B, ...) => (B, outputs); with `classes` the labels come beside the input (Sohn et al. 2015)."""

    def __init__(self, backbone: Backbone, head: nn.Module, classes: int = 0) -> None:
        super().__init__()
        self.backbone, self.head, self.classes = backbone, head, classes

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        inputs = images.flatten(1) if self.backbone.takes_vectors else images
        if self.classes:
            inputs = with_labels(inputs, labels, self.classes)
        return self.head(self.backbone(inputs))
