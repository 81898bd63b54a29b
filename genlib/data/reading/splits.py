"""Splits of a source: which are asked for, what they are called, and how a test split is held out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from genlib.data.reading.base import Rows
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

Item = TypeVar("Item")
# Names of splits, of folders that hold no class, in any case; those for testing in the order of preference.
TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "holdout", "val", "valid", "validation", "dev")


def choose(splits: Mapping[str, Item], config: DataConfig) -> tuple[Item, Item | None]:
    """The train split and the test split, None where the test split is to be held out.

    UserError where the source has no split of an asked name.
    """
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
    """Settings of data.train_split, and of data.test_split unless it is right already, that fit these names."""
    train = by_role(names, TRAIN_NAMES)[0]
    proposal = f"data.train_split={train}"
    tests = [name for name in by_role(names, TEST_NAMES) if name != train and plain(name) in TEST_NAMES]
    if config.test_split is None and not tests or config.test_split in names and config.test_split != train:
        return proposal
    return f"{proposal} and data.test_split={tests[0] if tests else 'null'}"


def by_role(names: list[str], role: tuple[str, ...]) -> list[str]:
    """The names in the order of the role; names that say nothing of a role come last."""
    return sorted(names, key=lambda name: role.index(plain(name)) if plain(name) in role else len(role))


def looks_like_a_split(name: str) -> bool:
    return plain(name) in (*TRAIN_NAMES, *TEST_NAMES)


def is_for_training(name: str) -> bool:
    return plain(name) in TRAIN_NAMES


def plain(name: str) -> str:
    """A name without its case and separators: Hold-Out and hold_out => holdout."""
    return re.sub(r"[-_ ]", "", name).lower()


def hold_out(rows: Rows, fraction: float, by_class: bool = True) -> tuple[Rows, Rows]:
    """The train and the test rows, the same each time, in their order in the source; each has one row at least.

    With labels, each class gives its share, if `by_class`: see `order_by_class`. UserError for fewer than two rows.
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
    """An order of rows whose first ones, however many, hold each class in about its share; int64 (N,) => int64 (N,).

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
