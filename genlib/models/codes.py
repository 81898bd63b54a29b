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
NOTHING_SAID = 0  # the number of a text's end, and of all words of one that is left out


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


def real_words(texts: Tensor) -> Tensor:
    """Whether a position holds a word or the first end, bool (B, LENGTH)."""
    ended = (texts == NOTHING_SAID).cumsum(1)
    return (ended == 0) | ((ended == 1) & (texts == NOTHING_SAID))
