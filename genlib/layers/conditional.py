"""Generators and layers that take a condition."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from genlib.layers.base import required, with_condition
from genlib.layers.shapes import UNCONDITIONAL, ConditionSpec

GeneratorConditioning = Literal["none", "concat", "batch_norm"]


class LabelAware(nn.Module):
    """A layer whose forward takes labels too: (inputs, labels)."""


class LabelSequential(nn.Sequential):
    """Layers one after another; those that are LabelAware get the labels."""

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        for layer in self:
            inputs = layer(inputs, labels) if isinstance(layer, LabelAware) else layer(inputs)
        return inputs


class ConditionalBatchNorm(LabelAware):
    """Batch norm with a gain and bias for each label (Dumoulin et al. 2017; de Vries et al. 2017)."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, classes: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Embedding(classes, norm.num_features)
        self.bias = nn.Embedding(classes, norm.num_features)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        chosen = required(labels)
        shape = (-1, inputs.shape[1], *[1] * (inputs.dim() - 2))
        return torch.addcmul(self.bias(chosen).view(shape), self.norm(inputs), self.gain(chosen).view(shape))


def batch_norm_2d(features: int, classes: int = 0) -> nn.Module:
    """Batch norm, conditional on a label where there are `classes`."""
    norm = nn.BatchNorm2d(features, affine=not classes)
    return ConditionalBatchNorm(norm, classes) if classes else norm


def batch_norm_1d(features: int, classes: int = 0) -> nn.Module:
    """Batch norm, conditional on a label where there are `classes`."""
    norm = nn.BatchNorm1d(features, affine=not classes)
    return ConditionalBatchNorm(norm, classes) if classes else norm


class Generator(nn.Module):
    """Latents (B, d) and a condition => raw pixels (B, C, H, W) or points (B, 2).

    `concat`: the condition enters beside the latents (Mirza & Osindero 2014); `batch_norm`: the layers take labels.
    """

    def __init__(
        self,
        layers: nn.Module,
        condition: ConditionSpec = UNCONDITIONAL,
        conditioning: GeneratorConditioning = "none",
    ) -> None:
        super().__init__()
        self.layers, self.condition, self.conditioning = layers, condition, conditioning

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        if self.conditioning == "batch_norm":
            return self.layers(latents, condition)
        if self.conditioning == "concat":
            latents = with_condition(latents, condition, self.condition)
        return self.layers(latents)
