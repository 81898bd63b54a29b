"""The interface of conditions: networks, samplers, the evaluation and a served model ask it, and never its type.

A context is one image's condition, (B, *shape) in a batch. As stored (in datasets, files and requests) it has the
condition's `dtype`; as taken by networks it is float in [-1, 1], or int64 numbers of words.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Shape = tuple[int, ...]


class ContextSource(Protocol):
    """The text, file or folder that a user names in the place of a condition; UserError where it cannot be read."""

    def __str__(self) -> str: ...

    def lines(self) -> list[str]:
        """The lines of a .txt file, or the text itself."""

    def array(self) -> np.ndarray | None:
        """The array of an .npy or .npz file; None for every other file."""

    def pictures(self, size: tuple[int, int], condition: str) -> list[tuple[str, Image.Image]]:
        """(file, image) of an image file or of those in a folder: upright, with 8 bits, in mode L, LA, RGB or RGBA, of
        this size (width, height), or of any where the user lets them be scaled.
        """


class Words(Protocol):
    """The words of contexts that are texts, by their numbers; 0 is the end."""

    words: list[str]

    def encode(self, text: str) -> list[int]:
        """The numbers of a text's words, filled with 0; UserError for a word that is not known."""

    def decode(self, numbers: Sequence[int]) -> str:
        """The words before the end."""


class Condition(ABC):
    """The contexts of images of one shape (C, H, W)."""

    name: ClassVar[str]
    is_image: ClassVar[bool] = False  # contexts are images that images make
    is_text: ClassVar[bool] = False  # contexts are words of a vocabulary
    scorer: ClassVar[str]  # module:class of genlib.evaluation that scores samples of contexts of held-out images
    served_column: ClassVar[str | None] = None  # of a served model's rows; None: its input is an array of contexts
    counts_all_pixels: ClassVar[bool] = True  # whether a likelihood is over all pixels

    shape: Shape
    dtype: torch.dtype  # as stored
    names: list[str] | None = None  # of the things that contexts speak of, saved with the sampler; None: of none
    vocabulary: Words | None = None  # of contexts that are texts

    def __init__(self, image_shape: Shape) -> None:
        self.image_shape = image_shape

    @abstractmethod
    def stored(self, dataset: Any, split: str) -> np.ndarray | None:
        """Contexts that a DatasetFolder stores for the rows of a split, (N, *shape); None where images make them."""

    @abstractmethod
    def of_images(self, images: Tensor, stored: Tensor | None, generator: torch.Generator) -> Tensor:
        """The contexts of images (B, C, H, W) in [-1, 1], as networks take them: from the images with the generator's
        draws, or from those that are stored for them, (B, *shape).
        """

    @abstractmethod
    def taken(self, stored: Tensor) -> Tensor:
        """Stored contexts as networks take them."""

    @abstractmethod
    def to_stored(self, taken: Tensor) -> Tensor:
        """Contexts of networks as they are stored."""

    @abstractmethod
    def keep(self, images: Tensor, context: Tensor) -> Tensor:
        """The images nearest to these that agree with the context, in [-1, 1], (B, C, H, W)."""

    @abstractmethod
    def counted(self, context: Tensor) -> Tensor | None:
        """1 at the pixels that a likelihood is over, (B, 1, H, W); None: at all."""

    @abstractmethod
    def shown(self, context: Tensor) -> Tensor | None:
        """A context as an image, (B, *shape) => (B, C, H, W) in [-1, 1]; None where it is no picture."""

    @abstractmethod
    def texts(self, stored: Tensor) -> list[str]:
        """A context in words, for reports; [] where it is a picture."""

    @abstractmethod
    def form(self) -> str:
        """The form of a context, in words."""

    @abstractmethod
    def example(self) -> Tensor:
        """A context to show its form, stored, (1, *shape)."""

    @abstractmethod
    def fault(self, stored: Tensor) -> str | None:
        """The fault of the first context that says nothing, leaves nothing open, or cannot be."""

    @abstractmethod
    def cleaned(self, stored: Tensor) -> Tensor:
        """Contexts that somebody made, as training had them."""

    @abstractmethod
    def read(self, source: ContextSource) -> Tensor:
        """The contexts that a user names, stored, (n, *shape); UserError for others."""

    @abstractmethod
    def requested(self, values: Any) -> Tensor:
        """The contexts of a request to a served model, stored, (n, *shape): of a list, the `served_column`'s values, or
        of an array in any form. UserError for values that are no contexts.
        """

    @abstractmethod
    def request(self) -> Any:
        """An example of such values."""

    @abstractmethod
    def request_form(self) -> str:
        """Their form in words, for the readers of a model's description."""
