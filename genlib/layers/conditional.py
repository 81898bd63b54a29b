"""Generators that take labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from genlib.layers.base import NOTHING, Given, beside, known

GeneratorConditioning = Literal["none", "concat", "batch_norm"]


class LabelAware(nn.Module):
    """A layer that takes labels too: forward(inputs, labels)."""


class LabelSequential(nn.Sequential):
    """Layers one after another, the labels given to those that take them."""

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        for layer in self:
            inputs = layer(inputs, labels) if isinstance(layer, LabelAware) else layer(inputs)
        return inputs


class ConditionalBatchNorm(LabelAware):
    """Batch norm whose gain and bias are the label's (Dumoulin et al. 2017; de Vries et al. 2017)."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Embedding(classes, norm.num_features)
        self.bias = nn.Embedding(classes, norm.num_features)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        chosen = known(labels)
        shape = (-1, inputs.shape[1], *[1] * (inputs.dim() - 2))
        return torch.addcmul(self.bias(chosen).view(shape), self.norm(inputs), self.gain(chosen).view(shape))


def batch_norm_2d(features: int, classes: int = 0) -> nn.Module:
    """Plain, or with `classes` conditional."""
    norm = nn.BatchNorm2d(features, affine=not classes)
    return ConditionalBatchNorm(norm, classes) if classes else norm


def batch_norm_1d(features: int, classes: int = 0) -> nn.Module:
    """Plain, or with `classes` conditional."""
    norm = nn.BatchNorm1d(features, affine=not classes)
    return ConditionalBatchNorm(norm, classes) if classes else norm


class Generator(nn.Module):
    """Latents (B, d) and what is given => raw pixels (B, C, H, W) or points (B, 2).

    `concat`: labels one-hot, or an image's numbers, beside the latents (Mirza & Osindero 2014); `batch_norm`: the
    layers take labels.
    """

    def __init__(self, layers: nn.Module, given: Given = NOTHING, conditioning: GeneratorConditioning = "none") -> None:
        super().__init__()
        self.layers, self.given, self.conditioning = layers, given, conditioning

    def forward(self, latents: Tensor, given: Tensor | None = None) -> Tensor:
        if self.conditioning == "concat":
            latents = beside(latents, given, self.given)
        return self.layers(latents, given)
