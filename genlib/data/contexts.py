"""What is given of a dataset's test images, for samplers that take it."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from genlib.conditions import Captions, Condition, PartOfImage
from genlib.data.folder import DatasetFolder
from genlib.pixels import binarized, to_uint8, to_unit
from genlib.randomness import generator_for
from genlib.sampling import CHUNK, TrainedSampler


def give_test_contexts(sampler: TrainedSampler, dataset: DatasetFolder, binarize: bool) -> None:
    """Let a sampler that takes images take them from the test split, where it is given none."""
    if sampler.condition:
        sampler.contexts = partial(context_of_test, sampler.condition, dataset, binarize=binarize)


def context_of_test(condition: Condition, dataset: DatasetFolder, index: int, *, binarize: bool) -> Tensor:
    """Of the test images 256 * index .. in a fixed order, which begins anew at its end; stored, (256, *shape)."""
    if isinstance(condition, Captions):
        return torch.from_numpy(dataset.captions("test"))[rows_of_test(dataset, index)]
    assert isinstance(condition, PartOfImage)
    images = truth_of_test(dataset, index, binarize)
    return to_uint8(condition.context(images, generator_for("test contexts", index)))


def truth_of_test(dataset: DatasetFolder, index: int, binarize: bool) -> Tensor:
    """The images of these contexts, in [-1, 1], (256, C, H, W)."""
    found = to_unit(torch.from_numpy(dataset.images("test")[rows_of_test(dataset, index).numpy()]))
    return binarized(found, generator_for("test contexts binarized", index)) if binarize else found


def rows_of_test(dataset: DatasetFolder, index: int) -> Tensor:
    """int64 (256,)"""
    count = dataset.manifest.counts["test"]
    order = torch.randperm(count, generator=generator_for("test contexts' order"))
    return order[(index * CHUNK + torch.arange(CHUNK)) % count]
