"""What every condition offers to networks, samplers and those who sample."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Condition(ABC):
    """What samples are given beside noise: contexts, (B, *shape)."""

    name: str
    shape: Shape
    dtype: torch.dtype  # as files and requests hold them

    def __init__(self, image_shape: Shape) -> None:
        self.image_shape = image_shape

    @abstractmethod
    def taken(self, stored: Tensor) -> Tensor:
        """As networks take them."""

    @abstractmethod
    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        """The images near these that agree with the context, in [-1, 1], (B, C, H, W)."""

    @abstractmethod
    def shown(self, context: Tensor) -> Tensor | None:
        """A context as an image, (B, *shape) => (B, C, H, W) in [-1, 1]; None where it is no picture."""

    @abstractmethod
    def fault(self, stored: Tensor) -> str | None:
        """What is wrong with the first context that gives nothing, leaves nothing open, or cannot be."""

    @abstractmethod
    def form(self) -> str:
        """Of a context, in words."""

    @abstractmethod
    def cleaned(self, stored: Tensor) -> Tensor:
        """What somebody made, as training had them."""

    @abstractmethod
    def example(self) -> Tensor:
        """A context to show its form, stored, (1, *shape)."""
