"""The conditions of a dataset's held-out images, for samplers that take them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from genlib.conditions.base import Condition
from genlib.conditions.captions import Captions
from genlib.conditions.images import PartOfImage
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.pixels.scale import binarized, to_uint8, to_unit
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK
from genlib.sampling.sampler import TrainedSampler


def give_test_contexts(sampler: TrainedSampler, dataset: DatasetFolder, binarize: bool) -> None:
    """Let a conditional sampler take its conditions from the test split, where it is given none."""
    give_contexts(sampler, whole_test_split(dataset), binarize)


def give_contexts(sampler: TrainedSampler, part: HeldOutPart, binarize: bool) -> None:
    """Let a conditional sampler take its conditions from these images, where it is given none."""
    if sampler.condition:
        sampler.contexts = partial(context_of, sampler.condition, part, binarize=binarize)


def context_of_test(condition: Condition, dataset: DatasetFolder, index: int, *, binarize: bool) -> Tensor:
    """`context_of` the test split."""
    return context_of(condition, whole_test_split(dataset), index, binarize=binarize)


def context_of(condition: Condition, part: HeldOutPart, index: int, *, binarize: bool) -> Tensor:
    """Conditions of the images 256 * index .. of a part in a fixed order, which begins anew at its end; as stored,
    (256, *shape).
    """
    if isinstance(condition, Captions):
        return torch.from_numpy(part.dataset.captions(part.split))[rows_of(part, index)]
    assert isinstance(condition, PartOfImage)
    images = truth_of(part, index, binarize)
    return to_uint8(condition.context(images, generator_for("test contexts", index)))


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
