"""Opened sources: what identifies their content, and their rows of images, still encoded. Free of numpy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from genlib.data.config import DataConfig

Item = TypeVar("Item")
# File contents, a file's path, pixels uint8 (H, W) or (H, W, 3), or None where an image is missing.
Encoded: TypeAlias = "bytes | str | np.ndarray | None"
NAMED = 3  # kinds and names of left-out files in a sentence


class Unreachable(Exception):
    """A source elsewhere does not answer."""


@dataclass(frozen=True)
class Rows:
    """Some rows of one split of a source."""

    split: str  # the split's name in the source
    numbers: Sequence[int]  # positions of the rows in the split
    read: Callable[[Sequence[int]], list[Encoded]]  # numbers => the images
    labels: np.ndarray | None  # int64, one for each of `numbers`

    def take(self, positions: np.ndarray) -> Rows:
        """The rows at these positions among `numbers`, int64 (n,)."""
        numbers = [self.numbers[position] for position in positions.tolist()]
        return replace(self, numbers=numbers, labels=None if self.labels is None else self.labels[positions])


@dataclass(frozen=True)
class LeftOut:
    """Files or images of a source that are not in the dataset folder; the manifest lists them."""

    what: str
    count: int
    kinds: dict[str, int]  # the most frequent first; empty where only their number is known
    first: list[str]  # the names of the first few

    def sentence(self, source: str) -> str:
        kinds = ", ".join(f"{kind}: {count:,}" for kind, count in list(self.kinds.items())[:NAMED])
        more = ", ..." if len(self.kinds) > NAMED else ""
        first = ", ".join(self.first) + (", ..." if self.count > len(self.first) else "")
        described = f" ({kinds}{more}): {first}" if self.kinds else ""
        return f"{source}: {self.what} are left out, {self.count:,} in all{described}"


def left_out(what: str, items: Sequence[Item], kind: Callable[[Item], str]) -> LeftOut:
    kinds = Counter(kind(item) for item in items)
    return LeftOut(what, len(items), dict(kinds.most_common()), [str(item) for item in items[:NAMED]])


def kind_of(name: PurePosixPath) -> str:
    return name.suffix.lower() or "without a suffix"


@dataclass(frozen=True)
class RawDataset:
    """The splits of a source that were asked for, not decoded."""

    train: Rows
    test: Rows | None  # None: to be held out of train
    label_names: list[str] | None
    left_out: list[LeftOut] = field(default_factory=list)


class OpenSource:
    """A source as it was when it was opened."""

    name: str  # the dataset folder's name begins with it
    identity: dict[str, str]  # equal for equal content, wherever it lies
    revision: str | None = None  # commit of a hub dataset

    def check_unchanged(self) -> None:
        """UserError if the content has changed since `identity` was taken."""


class ImageSource(OpenSource, ABC):
    """An opened source of images."""

    @abstractmethod
    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        """The splits asked for; UserError if they are not there. `scratch` is for files needed until decoding ends."""


def frozen_stream(use: str) -> np.random.RandomState:
    """Random numbers for one use, the same in every version: numpy guarantees the stream of this generator alone."""
    from numpy.random import RandomState

    return RandomState(list(use.encode()))
