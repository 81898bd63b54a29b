"""Images of the test split, or of the validation part, that a model is measured on, as it takes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genlib.config.metrics import Metric, computations
from genlib.config.run import RunConfig
from genlib.config.training import EvaluationConfig
from genlib.contexts.base import Condition
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart
from genlib.errors import UserError
from genlib.evaluation.estimates import Findings
from genlib.evaluation.features import Chunk, Labels
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import chunks_of, labels_of
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.models.base import Batch, EncoderModel
from genlib.pixels.scale import binarized, to_unit
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK


@dataclass(frozen=True)
class HeldOut:
    """`count` images or points, read chunk by chunk.

    With a `binarize_seed` each pixel is drawn as black or white, its grey value being the probability, as a function of
    the seed and the image.
    """

    chunk: Chunk
    labels: Labels
    count: int
    binarize_seed: int | None = None
    condition: Condition | None = None
    contexts: Chunk | None = None  # those that are stored

    @property
    def chunks(self) -> int:
        return math.ceil(self.count / CHUNK)

    def batch(self, index: int, device: torch.device) -> Batch:
        """A chunk in [-1, 1], with its labels and contexts."""
        images, labels = to_unit(self.chunk(index)), self.labels(index)
        if self.binarize_seed is not None:
            images = binarized(images, generator_for("test images binarized", self.binarize_seed, index))
        context = None
        if self.condition is not None:
            stored = None if self.contexts is None else self.contexts(index)
            context = self.condition.of_images(images, stored, generator_for("held-out contexts", index))
        rows = self.count - index * CHUNK
        return Batch(images, labels, context).map(lambda part: part[:rows].to(device))


@dataclass(frozen=True)
class HeldOutModel:
    """A model and the images that it is measured on: all that a metric of test images is computed from."""

    model: EncoderModel
    images: HeldOut
    importance_samples: int  # of each image
    scorer: SampleScorer

    @property
    def dataset(self) -> DatasetFolder:
        return self.scorer.dataset

    @property
    def asked(self) -> EvaluationConfig:
        return self.scorer.asked

    @property
    def processes(self) -> Processes:
        return self.scorer.processes

    def measured(self, during_training: bool = False, wanted: Metric | None = None) -> Findings:
        """The metrics of held-out images; with `during_training` the cheap ones and the one that is `wanted`. Every
        process must ask.
        """
        found = Findings()
        for compute in computations(["test images", "reconstructions"], during_training, wanted):
            found |= compute(self)
        return found


def held_out_of(
    part: HeldOutPart,
    count: int | None,
    labelled: bool = False,
    binarize_seed: int | None = None,
    condition: Condition | None = None,
) -> HeldOut:
    """`count` images of a part in random order, or all; only those with a label if they must be `labelled`.

    UserError if there is none.
    """
    dataset, split = part.dataset, part.split
    rows = part.rows[torch.randperm(len(part.rows), generator=generator_for("images to judge by", part.name))]
    if labelled:
        labels = dataset.labels(split)
        rows = rows[:0] if labels is None else rows[torch.from_numpy(labels)[rows] >= 0]
        if not len(rows):
            raise UserError(
                f"the {part.name} images of {dataset.path} have no labels, which a conditional model needs; prepare it "
                "with labels, or train with method.conditioning=none."
            )
    wanted = min(count or len(rows), len(rows))
    chunk, labels_of_chunk = chunks_of(dataset, split, rows), labels_of(dataset, split, rows)
    return HeldOut(chunk, labels_of_chunk, wanted, binarize_seed, condition, stored_contexts(condition, part, rows))


def stored_contexts(condition: Condition | None, part: HeldOutPart, rows: Tensor) -> Chunk | None:
    """The contexts that are stored for the rows of a part's split, in chunks; None where there are none."""
    stored = None if condition is None else condition.stored(part.dataset, part.split)
    if stored is None:
        return None
    contexts = torch.from_numpy(stored)[rows]
    return lambda index: contexts[index * CHUNK : (index + 1) * CHUNK]


def held_out_for(config: RunConfig, part: HeldOutPart, count: int | None) -> HeldOut:
    """Images of a part as a run's model takes them; where data is binarized at every draw, one draw of each image."""
    must_have_labels = config.method.has_encoder and config.method.takes_labels
    binarize_seed = config.evaluation.seed if config.data.binarize == "draw" else None
    dataset = part.dataset
    condition = config.condition.build(tuple(dataset.manifest.shape), dataset.scene_names)
    return held_out_of(part, count, must_have_labels, binarize_seed, condition)


def parts_of(batch: Batch, size: int) -> list[Batch]:
    """At most `size` images each."""
    return [rows_of(batch, rows) for rows in torch.arange(len(batch.images)).split(size)]


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    return batch.map(lambda part: part[rows])
