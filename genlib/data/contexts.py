"""The conditions of a dataset's held-out images, in a fixed order."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.contexts.base import Condition
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.pixels.scale import binarized, to_unit
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK
from genlib.sampling.sampler import Contexts


def contexts_of(part: HeldOutPart, binarize: bool) -> Contexts:
    """The conditions that a sampler takes from a part's images where it is asked for no others."""
    return lambda condition, index: context_of(condition, part, index, binarize=binarize)


def context_of_test(condition: Condition, dataset: DatasetFolder, index: int, *, binarize: bool) -> Tensor:
    """`context_of` the test split."""
    return context_of(condition, whole_test_split(dataset), index, binarize=binarize)


def context_of(condition: Condition, part: HeldOutPart, index: int, *, binarize: bool) -> Tensor:
    """Conditions of the images 256 * index .. of a part in a fixed order, which begins anew at its end; as stored,
    (256, *shape).
    """
    stored = condition.stored(part.dataset, part.split)
    if stored is not None:
        return torch.from_numpy(stored)[rows_of(part, index)]
    images = truth_of(part, index, binarize)
    return condition.to_stored(condition.of_images(images, None, generator_for("test contexts", index)))


def truth_of_test(dataset: DatasetFolder, index: int, binarize: bool) -> Tensor:
    """`truth_of` the test split."""
    return truth_of(whole_test_split(dataset), index, binarize)


def truth_of(part: HeldOutPart, index: int, binarize: bool) -> Tensor:
    """The images of these contexts, in [-1, 1], (256, C, H, W)."""
    found = to_unit(torch.from_numpy(part.dataset.images(part.split)[rows_of(part, index).numpy()]))
    return binarized(found, generator_for("test contexts binarized", index)) if binarize else found


def rows_of(part: HeldOutPart, index: int) -> Tensor:
    """Rows of the part's split, int64 (256,)."""
    count = len(part.rows)
    order = torch.randperm(count, generator=generator_for("test contexts' order"))
    return part.rows[order[(index * CHUNK + torch.arange(CHUNK)) % count]]
