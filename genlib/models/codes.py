"""Networks that draw the codes of an image one after another, and how they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Drawing(NamedTuple):
    """How codes are drawn from what the prior says of them."""

    temperature: float = 1.0  # below 1 likelier ones
    top_k: int | None = None  # from the likeliest k only
    guidance: float = 1.0  # above 1 those that fit the text better


AS_LEARNED = Drawing()


class CodeNetwork(nn.Module, ABC):
    """A generator that draws codes, and where its contexts are texts also knows these."""

    drawing: Drawing

    @abstractmethod
    def complete(self, words: Tensor, uniforms: Tensor) -> Tensor:
        """Texts that begin with words (B, n), by uniforms (B, LENGTH - n) in (0, 1) => int64 (B, LENGTH)."""

    @abstractmethod
    def nats_of_texts(self, texts: Tensor) -> Tensor:
        """-log p of each word given those before it, of the first end too and 0 after it, int64 (B, LENGTH) => float
        (B, LENGTH).
        """
