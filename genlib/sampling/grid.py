"""Samples as they are shown: in rows and columns that say what the sampler can do."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genlib.pixels.scale import to_uint8
from genlib.sampling.sampler import TrainedSampler

MOST_COLUMNS = 10  # labels that have a column
POINTS_FOR_AN_IMAGE = 32  # points that are shown where a sampler of images would show one
SAMPLES_SHOWN = 6  # of one context


class Grid(NamedTuple):
    """Samples to be shown, in rows."""

    images: Tensor  # as TrainedSampler.images gives them
    columns: int | None  # None: as the picture likes


def sample_grid(sampler: TrainedSampler, count: int, seed: int = 0) -> Grid:
    """About `count` samples: of a sampler of labels a column for each of up to ten, under a condition a row for each of
    several contexts; of points many more.
    """
    if len(sampler.image_shape) == 1:
        return Grid(sampler.images(count * POINTS_FOR_AN_IMAGE, seed), None)
    if sampler.condition:
        contexts = sampler.stored_contexts(0)[: max(1, count // (1 + SAMPLES_SHOWN))]
        return grid_of_contexts(sampler, contexts, sampler.images_of_contexts(contexts, SAMPLES_SHOWN, seed))
    if not sampler.classes:
        return Grid(sampler.images(count, seed), None)
    columns = min(sampler.classes, MOST_COLUMNS)
    rows = max(1, count // columns)
    return Grid(sampler.images(rows * columns, seed, labels=torch.arange(columns).repeat(rows)), columns)


def grid_of_contexts(sampler: TrainedSampler, contexts: Tensor, samples: Tensor) -> Grid:
    """A row for each context (n, *condition.shape): the context, if it is a picture, and its samples.

    Args:
        samples: uint8 (n * each, C, H, W), as `TrainedSampler.images_of_contexts` gives them.
    """
    assert sampler.condition
    each = len(samples) // len(contexts)
    shown = sampler.condition.shown(sampler.condition.taken(contexts))
    if shown is None:
        return Grid(samples, each)
    rows = torch.cat([to_uint8(shown)[:, None], samples.unflatten(0, (-1, each))], dim=1)
    return Grid(rows.flatten(0, 1), 1 + each)
