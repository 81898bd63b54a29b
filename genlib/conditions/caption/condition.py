"""Captions as a condition: the numbers of their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlib.conditions.caption.words import LENGTH, Said, Thing, Vocabulary
from genlib.contexts.base import Condition, ContextSource, Shape
from genlib.errors import UserError


class Captions(Condition):
    """int64 (B, LENGTH): a caption's words, then the end's number 0. One of nothing but ends says nothing."""

    name = "caption"
    is_text = True
    scorer = "genlib.evaluation.scoring.captions:CaptionScorer"
    served_column = "caption"

    dtype = torch.int64
    shape = (LENGTH,)
    names: list[str]
    vocabulary: Vocabulary

    def __init__(self, image_shape: Shape, names: Sequence[str]) -> None:
        super().__init__(image_shape)
        self.names = list(names)
        self.vocabulary = Vocabulary(names)

    def stored(self, dataset: Any, split: str) -> np.ndarray:
        return dataset.captions(split)

    def of_images(self, images: Tensor, stored: Tensor | None, generator: torch.Generator) -> Tensor:
        assert stored is not None, "captions are stored beside their images"
        return stored

    def taken(self, stored: Tensor) -> Tensor:
        return stored

    def to_stored(self, taken: Tensor) -> Tensor:
        return taken

    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        return images

    def counted(self, context: Tensor) -> Tensor | None:
        return None

    def shown(self, context: Tensor) -> Tensor | None:
        return None

    def texts(self, stored: Tensor) -> list[str]:
        return self.decode(stored)

    def form(self) -> str:
        return f"a caption, such as '{self.sentence()}'"

    def example(self) -> Tensor:
        return self.encode([self.sentence()])

    def fault(self, stored: Tensor) -> str | None:
        last = len(self.vocabulary.words) - 1
        wrong = stored[(stored < 0) | (stored > last)]
        if len(wrong):
            return f"word {int(wrong[0])} of a caption is unknown; use 0 to {last}."
        if not (stored[:, 0] > 0).all():
            return f"a caption says nothing; give {self.form()}."
        return None

    def cleaned(self, stored: Tensor) -> Tensor:
        return stored

    def read(self, source: ContextSource) -> Tensor:
        """A caption, or those of a .txt file, one on each line."""
        return self.encode(source.lines())

    def requested(self, values: Any) -> Tensor:
        if not all(isinstance(caption, str) for caption in values):
            raise UserError(f"some rows have no caption; give one in each, such as '{self.sentence()}'.")
        return self.encode(values)

    def request(self) -> list[str]:
        return [self.sentence()]

    def request_form(self) -> str:
        return "rows with a caption"

    def sentence(self) -> str:
        """A caption of two of the named things."""
        last = len(self.names) - 1
        return self.vocabulary.written(Said((Thing(min(4, last)), Thing(min(7, last))), relation="above"))

    def encode(self, texts: Sequence[str]) -> Tensor:
        """int64 (n, LENGTH); UserError for a word that is not known, with the nearest."""
        return torch.tensor([self.vocabulary.encode(text) for text in texts])

    def decode(self, captions: Tensor) -> list[str]:
        return [self.vocabulary.decode(numbers) for numbers in captions.tolist()]
