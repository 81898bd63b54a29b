"""Modules that all networks share: backbone, encoder, and the condition beside an input."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.contexts.base import Condition
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec, ImageShape
from genlib.pixels.scale import enlarged


class DataSpec(NamedTuple):
    """The properties of a dataset that a model depends on."""

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


def required(condition: Tensor | None) -> Tensor:
    """The condition; ValueError where a conditional network gets none."""
    if condition is None:
        raise ValueError("a conditional network needs labels or a context, and got none; pass one for each input.")
    return condition


def with_condition(inputs: Tensor, condition: Tensor | None, spec: ConditionSpec) -> Tensor:
    """Inputs (B, F) or (B, F, H, W) and the condition as further values or channels (Mirza & Osindero 2014).

    Labels int64 (B,) become one-hot, and constant planes beside channels; of a context (B, K, h, w) every value becomes
    a square of pixels. ValueError without a condition.
    """
    condition = required(condition)
    if not spec.shape:
        hot = F.one_hot(condition, spec.classes).to(inputs.dtype)
        planes = hot.reshape(*hot.shape, *[1] * (inputs.dim() - 2)).expand(-1, -1, *inputs.shape[2:])
        return torch.cat([inputs, planes], dim=1)
    condition = condition.to(inputs.dtype)
    added = condition.flatten(1) if inputs.dim() == 2 else enlarged(condition, inputs.shape[1:])
    return torch.cat([inputs, added], dim=1)


class Encoder(nn.Module):
    """Images (B, *shape) and their condition => (B, outputs); the condition enters beside the images (Sohn et al.
    2015).
    """

    def __init__(self, backbone: Backbone, head: nn.Module, condition: ConditionSpec = UNCONDITIONAL) -> None:
        super().__init__()
        self.backbone, self.head, self.condition = backbone, head, condition

    def forward(self, images: Tensor, condition: Tensor | None = None) -> Tensor:
        inputs = images.flatten(1) if self.backbone.takes_vectors else images
        if self.condition:
            inputs = with_condition(inputs, condition, self.condition)
        return self.head(self.backbone(inputs))


class Enlarged(nn.Module):
    """A context (B, K, h, w) at an image's size: every value becomes a square of pixels, (B, K, H, W)."""

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, context: Tensor) -> Tensor:
        return enlarged(context, self.image_shape)
