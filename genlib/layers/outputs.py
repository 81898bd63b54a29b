"""Outputs: functions from a network's raw values to pixels in [-1, 1], or to points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Output = Literal["tanh", "sigmoid", "continuous_bernoulli", "identity"]
SMALL_LOGIT = 0.05  # below which closed forms lose digits and series have them all


def continuous_bernoulli_mean(logits: Tensor) -> Tensor:
    """Mean of the density C p^x (1 - p)^(1 - x) on [0, 1], p = sigmoid(logit) (Loaiza-Ganem & Cunningham 2019, eq. 8):
    1 / (1 - exp(-l)) - 1 / l in terms of the logit l; any shape.
    """
    small = logits.abs() < SMALL_LOGIT
    large = torch.where(small, torch.ones_like(logits), logits)
    exact = 0.5 + 0.5 / torch.tanh(0.5 * large) - 1 / large
    little = torch.where(small, logits, torch.zeros_like(logits))
    series = 0.5 + little / 12 - little.pow(3) / 720
    return torch.where(small, series, exact)


OUTPUTS: dict[Output, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": lambda raw: 2 * torch.sigmoid(raw) - 1,
    "continuous_bernoulli": lambda raw: 2 * continuous_bernoulli_mean(raw) - 1,
    "identity": lambda raw: raw,
}


def default_output(shape: tuple[int, ...]) -> Output:
    """tanh for images (C, H, W), whose pixels lie in [-1, 1]; identity for points (2,), which may lie anywhere."""
    return "tanh" if len(shape) == 3 else "identity"
