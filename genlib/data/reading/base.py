"""Where data comes from: what identifies a source's content, and the rows of images, still encoded."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from genlib.config.data import DataConfig
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.making.decode import Encoded


Split = TypeVar("Split")


Item = TypeVar("Item")


# What folders and splits that hold no class are called, in any case; those for testing in the order of preference.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "holdout", "val", "valid", "validation", "dev")
NAMED = 3  # of what is left out


@dataclass(frozen=True)
class Rows:
    """Some rows of one split of a source."""

    split: str  # its name there
    numbers: Sequence[int]  # of the rows there
    read: Callable[[Sequence[int]], list[Encoded]]  # images by their numbers
    labels: np.ndarray | None  # int64, one for each of `numbers`

    def take(self, positions: np.ndarray) -> Rows:
        numbers = np.asarray(self.numbers)[positions].tolist()
        return replace(self, numbers=numbers, labels=None if self.labels is None else self.labels[positions])


@dataclass(frozen=True)
class LeftOut:
    """Files or images of a source that are not in the dataset folder; the manifest lists them."""

    what: str
    count: int
    kinds: dict[str, int]  # the most frequent first; none where only their number is known
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
    train: Rows
    test: Rows | None  # None: to be held out of train
    label_names: list[str] | None
    left_out: list[LeftOut] = field(default_factory=list)


class Source:
    name: str  # the dataset folder's name begins with it
    identity: dict[str, str]  # equal for equal content, wherever it lies
    revision: str | None = None  # commit of a hub dataset

    def check_unchanged(self) -> None:
        """UserError if the content has changed since `identity` was taken."""


class ImageSource(Source, ABC):
    @abstractmethod
    def read(self, config: DataConfig, scratch: Path) -> RawDataset:
        """The splits asked for; UserError if they are not there. `scratch` is for files needed until decoding ends."""


def choose(splits: Mapping[str, Split], config: DataConfig) -> tuple[Split, Split | None]:
    """The train split and the test split, None if it is to be held out; UserError if a name is not there."""
    there = ", ".join(splits)
    if config.train_split not in splits:
        raise UserError(
            f"data.train_split '{config.train_split}' is not in {config.source}, which has: {there}; "
            f"use {proposed_splits(list(splits), config)}."
        )
    if config.test_split is None:
        return splits[config.train_split], None
    if config.test_split not in splits:
        others = by_role([name for name in splits if name != config.train_split], TEST_NAMES)
        remedy = "data.test_split=null to hold out data.test_fraction of the train split"
        raise UserError(
            f"data.test_split '{config.test_split}' is not in {config.source}, which has: {there}; use "
            + (f"data.test_split={others[0]}, or {remedy}." if others else f"{remedy}.")
        )
    return splits[config.train_split], splits[config.test_split]


def proposed_splits(names: list[str], config: DataConfig) -> str:
    """The settings of data.train_split, and of data.test_split if it is not right already, that fit these names."""
    train = by_role(names, TRAIN_NAMES)[0]
    proposal = f"data.train_split={train}"
    tests = [name for name in by_role(names, TEST_NAMES) if name != train and plain(name) in TEST_NAMES]
    if config.test_split is None and not tests or config.test_split in names and config.test_split != train:
        return proposal
    return f"{proposal} and data.test_split={tests[0] if tests else 'null'}"


def by_role(names: list[str], role: tuple[str, ...]) -> list[str]:
    """Names of the role first, in its order, then those that could be anything."""
    return sorted(names, key=lambda name: role.index(plain(name)) if plain(name) in role else len(role))


def looks_like_a_split(name: str) -> bool:
    return plain(name) in (*TRAIN_NAMES, *TEST_NAMES)


def is_for_training(name: str) -> bool:
    return plain(name) in TRAIN_NAMES


def plain(name: str) -> str:
    """Hold-Out and hold_out => holdout."""
    return re.sub(r"[-_ ]", "", name).lower()


def hold_out(rows: Rows, fraction: float, by_class: bool = True) -> tuple[Rows, Rows]:
    """The same train and test rows each time, in their order in the source; each gets one row at least.

    Where there are labels each class gives its share, unless not `by_class`: see `order_by_class`.
    """
    count = len(rows.numbers)
    if count < 2:
        raise UserError(f"split '{rows.split}' has {count} image; it needs 2 to hold one out as the test split.")
    test = held_out_count(count, fraction)
    order = np.random.RandomState(0).permutation(count)
    if by_class and rows.labels is not None:
        order = order[order_by_class(rows.labels[order])]
    return rows.take(np.sort(order[test:])), rows.take(np.sort(order[:test]))


def order_by_class(labels: np.ndarray) -> np.ndarray:
    """Positions in an order whose first ones, however many, hold each class in about its share; int64 (N,).

    First comes one row of each class of two or more, the largest class first, then row j of a class of n where
    (j + 1/2) / n places it, and at the end the last row of each class, so that a class loses its only row last. Rows
    of a class keep their order; with a single class that is the order of all.
    """
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.arange(len(labels)) - np.repeat(starts, sizes)  # 0 to n - 1 within the class
    size = sizes[classes]
    tier = np.where(place == size - 1, 2, np.where(place == 0, 0, 1))
    within = np.where(tier == 0, -size, (place + 0.5) / size)
    return np.lexsort((within, tier))


def held_out_count(count: int, fraction: float) -> int:
    return min(max(1, round(count * fraction)), count - 1)


def frozen_stream(use: str) -> np.random.RandomState:
    """Random numbers for one use, the same for ever: of all its generators, numpy has frozen this one's stream."""
    return np.random.RandomState(list(use.encode()))
