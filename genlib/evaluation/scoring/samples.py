"""The metrics of a set of images or points, made by a model or real, against the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.metrics import computations
from genlib.config.training import EvaluationConfig
from genlib.data.folder import SPLITS, DatasetFolder
from genlib.evaluation.estimates import Estimate, Findings
from genlib.evaluation.features import Chunk, Extractor, Labels, features_of
from genlib.evaluation.scoring.extractors import Extractors
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import Reference, kept_of, reference_of
from genlib.evaluation.statistics.frechet import FeatureMoments, Moments
from genlib.evaluation.statistics.neighbours import radii_among
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK


class SampleScores(NamedTuple):
    metrics: dict[str, Estimate]
    details: dict[str, Any]  # JSON: whatever is more than a number
    features: Tensor  # of the main extractor, float32 (count, d), in the images' order


class Seen(NamedTuple):
    """A set of images as all processes together saw it."""

    features: Tensor  # of the main extractor, (count, d)
    moments: dict[str, Moments]  # by extractor
    classes: Tensor | None  # by the classifier, int64 (count,)
    labels: Tensor | None  # that the images should have, -1 where that is not known, int64 (count,)


class SampleScorer:
    """Scores sets of images: all of a set by the Fréchet distances to the whole train split, `neighbour_count` of them
    by kernel distance and neighbours against as many images of the data.

    `thorough` adds what is not needed to follow a training: the other extractors, and the metrics that are not measured
    during training, such as the extrapolated distance, copies of training images and classes.
    """

    def __init__(
        self,
        dataset: DatasetFolder,
        extractors: Extractors,
        asked: EvaluationConfig,
        processes: Processes,
        thorough: bool = True,
    ) -> None:
        self.dataset, self.extractors, self.asked = dataset, extractors, asked
        self.processes, self.thorough = processes, thorough
        self.looking = extractors.all if thorough else (extractors.main,)
        self.references = {
            extractor.name: reference_of(dataset, "train", extractor, asked.batch_size, processes)
            for extractor in self.looking
            if extractor is extractors.main or is_compared_beside(extractor)
        }
        self.train = self.references[extractors.main.name]
        self._real_radii: dict[int, Tensor] = {}  # of the first so many, by their number
        images, size = dataset.manifest.counts, extractors.main.num_features
        self.neighbour_count = min(asked.samples, *(kept_of(images[split], size) for split in SPLITS))
        if thorough:
            _ = self.held_out  # all processes compute it together, before the first alone needs it
        labels = dataset.labels("train")
        self.data_shares: Tensor | None = None
        if thorough and extractors.classifier is not None and labels is not None:
            known = torch.from_numpy(labels[labels >= 0])
            counts = torch.bincount(known, minlength=dataset.number_of_classes()).double()
            self.data_shares = counts / counts.sum()

    @cached_property
    def held_out(self) -> Reference:
        """The test split; to follow a training it is not looked at. Every process must ask for it first."""
        return reference_of(self.dataset, "test", self.extractors.main, self.asked.batch_size, self.processes)

    def real_radii(self, count: int) -> Tensor:
        """Squared distances of the first `count` real images to their k-th nearest neighbour among themselves."""
        if count not in self._real_radii:
            self._real_radii[count] = radii_among(self.train.features[:count], self.asked.neighbours)
        return self._real_radii[count]

    def __call__(
        self, chunk: Chunk, count: int, what: str, labels: Labels | None = None, held_out: bool = False
    ) -> SampleScores:
        """The metrics of `count` images or points, the same on every process; none if features are NaN or infinite.

        `labels` are what the images should be. `held_out`: they are the test split's, in the order of its reference.
        """
        seen = self.see(chunk, count, what, labels)
        lost = int((~torch.isfinite(seen.features)).any(1).sum())
        if lost:
            return SampleScores({}, {"not_finite": lost}, seen.features)
        samples = SampleSet(self, seen, held_out)
        found = self.processes.first(lambda: self.measured(samples))
        return SampleScores(found.metrics, found.details, seen.features)

    def measured(self, samples: SampleSet) -> Findings:
        """On one process alone."""
        found = Findings()
        for compute in computations(["samples"], during_training=not self.thorough):
            found |= compute(samples)
        return found

    def see(self, chunk: Chunk, count: int, what: str, labels: Labels | None = None) -> Seen:
        """Every extractor's features of `count` images, shared out over the processes."""
        main = self.extractors.main
        moments = {
            name: FeatureMoments(of.moments.mean).to(of.moments.mean.device) for name, of in self.references.items()
        }
        for name, of in self.references.items():
            moments[name].update(of.features[:0])  # there may be no chunk for this process
        features: dict[int, Tensor] = {}
        classes: dict[int, Tensor] = {}

        def look(index: int) -> None:
            images = chunk(index)[: count - index * CHUNK]
            for extractor in self.looking:
                found = features_of(extractor, images, index * CHUNK, self.asked.batch_size)
                if extractor.name in moments:
                    moments[extractor.name].update(found)
                if extractor is main:
                    features[index] = found
                if extractor.classify is not None and self.data_shares is not None:
                    classes[index] = extractor.classify(found)[:, None]

        self.processes.share(count, look, f"features of {what}" if self.thorough else None)
        asked = [labels(index) for index in range(math.ceil(count / CHUNK))] if labels else []
        known = [of_chunk for of_chunk in asked if of_chunk is not None]
        return Seen(
            self.processes.gather(features, count, main.num_features, torch.float32),
            {name: metric.compute() for name, metric in moments.items()},
            self.processes.gather(classes, count, 1, torch.int64)[:, 0].cpu() if self.data_shares is not None else None,
            torch.cat(known)[:count] if known else None,
        )


def is_compared_beside(extractor: Extractor) -> bool:
    return choices_of_kind(ExtractorConfig)[extractor.name].is_compared_beside


@dataclass(frozen=True)
class SampleSet:
    """A set of images or points, and the data that it is compared with: all that a metric of samples is computed from.

    Tensors are on the metrics' device, but for classes and labels.
    """

    scorer: SampleScorer
    seen: Seen
    are_held_out: bool = False  # whether these are the test split's images, in the order of its reference

    @property
    def dataset(self) -> DatasetFolder:
        return self.scorer.dataset

    @property
    def count(self) -> int:
        return len(self.seen.features)

    @property
    def extractor(self) -> str:
        """The name of the main extractor."""
        return self.scorer.extractors.main.name

    @property
    def features(self) -> Tensor:
        """Features of all by the main extractor, float32 (count, d); points are their own."""
        return self.seen.features

    @property
    def moments(self) -> dict[str, Moments]:
        """Mean and covariance of the features of all, by extractor."""
        return self.seen.moments

    @property
    def references(self) -> dict[str, Reference]:
        """The train split as the extractors see it whose Fréchet distances are measured."""
        return self.scorer.references

    @property
    def train(self) -> Reference:
        """The train split as the main extractor sees it."""
        return self.scorer.train

    @property
    def held_out(self) -> Reference:
        """The test split as the main extractor sees it; for metrics that are not measured during training alone."""
        return self.scorer.held_out

    @property
    def neighbours(self) -> int:
        """k of the metrics of neighbours."""
        return self.scorer.asked.neighbours

    @property
    def classes(self) -> Tensor | None:
        """The class of each by the evaluation's classifier, int64 (count,); None without one."""
        return self.seen.classes

    @property
    def labels(self) -> Tensor | None:
        """The label that each should have, int64 (count,), -1 where that is not known; None without labels."""
        return self.seen.labels

    @property
    def data_shares(self) -> Tensor | None:
        """Shares of the classes in the train split, float64 (K,); None without a classifier."""
        return self.scorer.data_shares

    @cached_property
    def order(self) -> Tensor:
        """All rows in random order, int64 (count,): images on disk may come class by class."""
        if self.are_held_out:  # the test split comes in the order of its reference, and keeps it
            return torch.arange(self.count)
        return torch.randperm(self.count, generator=generator_for("images judged"))

    @cached_property
    def few(self) -> int:
        """Number of samples that are compared one by one with as many real images."""
        return min(self.scorer.neighbour_count, self.count)

    @cached_property
    def fakes(self) -> Tensor:
        """Features of the few, (few, d)."""
        return self.features[self.order[: self.few]]

    @property
    def reals(self) -> Tensor:
        """Features of as many training images, (few, d)."""
        return self.train.features[: self.few]

    @property
    def real_radii(self) -> Tensor:
        """Squared distances of these to their k-th nearest neighbour among themselves, float64 (few,)."""
        return self.scorer.real_radii(self.few)
