"""Classes of images: the order of their names, and classes without an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import numpy as np

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
NAMES_SHOWN = 5


def class_order(names: Iterable[str]) -> list[str]:
    """Each name once: numbers by their value ('2' before '10'), then words in the order of text."""

    def key(name: str) -> tuple[bool, Decimal, str]:
        is_number = bool(NUMBER.fullmatch(name))
        return not is_number, Decimal(name) if is_number else Decimal(0), name

    return sorted(set(names), key=key)


def missing_classes(names: Sequence[str], labels: Mapping[str, np.ndarray | None], source: str) -> list[str]:
    """A sentence for each labelled split in which classes have no image; `labels` are int64 (N,) by split."""
    sentences = []
    for split, of_split in labels.items():
        if of_split is None:
            continue
        there = set(of_split.tolist())
        missing = [name for label, name in enumerate(names) if label not in there]
        if missing:
            shown = ", ".join(missing[:NAMES_SHOWN]) + (", ..." if len(missing) > NAMES_SHOWN else "")
            done = "trained" if split == "train" else "tested"
            sentences.append(
                f"{len(missing)} of the {len(names)} classes of {source} have no {split} image ({shown}): no model is "
                f"ever {done} on them"
            )
    return sentences
