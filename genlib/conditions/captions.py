"""Captions as a condition: the numbers of their words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genlib.conditions.base import Condition, Shape
from genlib.conditions.words import LENGTH, Said, Thing, Vocabulary


class Captions(Condition):
    """int64 (B, LENGTH): a caption's words, then the end's number 0. One of nothing but ends says nothing."""

    name = "caption"
    dtype = torch.int64
    shape = (LENGTH,)

    def __init__(self, image_shape: Shape, names: Sequence[str]) -> None:
        super().__init__(image_shape)
        self.names = list(names)
        self.vocabulary = Vocabulary(names)

    def taken(self, stored: Tensor) -> Tensor:
        return stored

    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        return images

    def shown(self, context: Tensor) -> Tensor | None:
        return None

    def fault(self, stored: Tensor) -> str | None:
        last = len(self.vocabulary.words) - 1
        wrong = stored[(stored < 0) | (stored > last)]
        if len(wrong):
            return f"word {int(wrong[0])} of a caption is unknown; use 0 to {last}."
        if not (stored[:, 0] > 0).all():
            return f"a caption says nothing; give {self.form()}."
        return None

    def form(self) -> str:
        return f"a caption, such as '{self.sentence()}'"

    def cleaned(self, stored: Tensor) -> Tensor:
        return stored

    def example(self) -> Tensor:
        return self.encode([self.sentence()])

    def sentence(self) -> str:
        last = len(self.names) - 1
        return self.vocabulary.written(Said((Thing(min(4, last)), Thing(min(7, last))), relation="above"))

    def encode(self, texts: Sequence[str]) -> Tensor:
        """int64 (n, LENGTH); UserError for a word that is not known, with the nearest."""
        return torch.tensor([self.vocabulary.encode(text) for text in texts])

    def decode(self, captions: Tensor) -> list[str]:
        return [self.vocabulary.decode(numbers) for numbers in captions.tolist()]
