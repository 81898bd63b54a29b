"""The metrics of a set of images, made by a model or real, against the data."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.config.metrics import DISTANCES, KERNEL_DISTANCES, OF_POINTS
from genlib.config.training import EvaluationConfig
from genlib.data.folder import PARTS, DatasetFolder
from genlib.evaluation.estimates import Estimate, over_images
from genlib.evaluation.extractors.features import Chunk, Labels, features_of
from genlib.evaluation.extractors.panel import Panel
from genlib.evaluation.metrics.frechet import FeatureMoments, Moments, at_infinity, by_samples, frechet_distance
from genlib.evaluation.metrics.kernel import kernel_distance
from genlib.evaluation.metrics.modes import mode_coverage
from genlib.evaluation.metrics.neighbours import copies, neighbour_metrics, radii_among
from genlib.evaluation.metrics.points import point_metrics, point_set_of
from genlib.evaluation.preflight import ENOUGH
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import Reference, kept_of, reference_of
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK


def cheap_metrics(extractor: str) -> set[str]:
    """What a judge that is not thorough gives."""
    distances = {DISTANCES[extractor], KERNEL_DISTANCES[extractor]}
    of_points = {*OF_POINTS, "modes"} if extractor == "points" else set()
    return distances | {"precision", "recall", "density", "coverage"} | of_points


MOST_BARS = 100  # classes whose histogram is kept


class Judged(NamedTuple):
    metrics: dict[str, Estimate]
    details: dict[str, Any]  # what is more than a number, JSON
    features: Tensor  # of the main extractor, float32 (count, d), in the images' order


class Seen(NamedTuple):
    """A set of images, as all processes together saw it."""

    features: Tensor  # of the main extractor, (count, d)
    moments: dict[str, Moments]  # by extractor
    classes: Tensor | None  # by the classifier, int64 (count,)
    labels: Tensor | None  # what they should be, -1 where that is not known, int64 (count,)


class Judge:
    """Judges sets of images: all of a set by the Fréchet distances to the whole train split, `neighbour_count` of them
    by kernel distance and neighbours against as many images of the data.

    `thorough` adds what is not needed to follow a training: the extrapolated distance, the other extractors, copies of
    training images, classes.
    """

    def __init__(
        self, dataset: DatasetFolder, panel: Panel, asked: EvaluationConfig, processes: Processes, thorough: bool = True
    ) -> None:
        self.dataset, self.panel, self.asked, self.processes, self.thorough = dataset, panel, asked, processes, thorough
        self.extractors = panel.all if thorough else (panel.main,)
        self.references = {
            extractor.name: reference_of(dataset, "train", extractor, asked.batch_size, processes)
            for extractor in self.extractors
            if extractor is panel.main or extractor.name == "random"  # the classifier beside these is for classes only
        }
        self.train = self.references[panel.main.name]
        self._real_radii: dict[int, Tensor] = {}  # of the first so many, by their number
        images = dataset.manifest.counts
        self.neighbour_count = min(asked.samples, *(kept_of(images[part], panel.main.num_features) for part in PARTS))
        if thorough:
            _ = self.held_out  # all processes compute it together, before the first alone needs it
        labels = dataset.labels("train")
        self.data_shares: Tensor | None = None
        if thorough and panel.classify is not None and labels is not None:
            known = torch.from_numpy(labels[labels >= 0])
            counts = torch.bincount(known, minlength=dataset.number_of_classes()).double()
            self.data_shares = counts / counts.sum()

    @cached_property
    def held_out(self) -> Reference:
        """The test split; to follow a training it is not looked at. Every process must ask for it first."""
        return reference_of(self.dataset, "test", self.panel.main, self.asked.batch_size, self.processes)

    def __call__(
        self, chunk: Chunk, count: int, what: str, labels: Labels | None = None, held_out: bool = False
    ) -> Judged:
        """The metrics of `count` images or points, the same on every process; none if some are not finite.

        `labels` are what the images should be. `held_out`: they are the test split's, in the order of its reference.
        """
        seen = self.see(chunk, count, what, labels)
        lost = int((~torch.isfinite(seen.features)).any(1).sum())
        if lost:
            return Judged({}, {"not_finite": lost}, seen.features)
        metrics, details = self.processes.first(lambda: self.metrics(seen, held_out))
        return Judged(metrics, details, seen.features)

    def see(self, chunk: Chunk, count: int, what: str, labels: Labels | None = None) -> Seen:
        """Every extractor's look at `count` images, shared out over the processes."""
        main = self.panel.main
        moments = {
            name: FeatureMoments(of.moments.mean).to(of.moments.mean.device) for name, of in self.references.items()
        }
        for name, of in self.references.items():
            moments[name].update(of.features[:0])  # there may be no chunk for this process
        features: dict[int, Tensor] = {}
        classes: dict[int, Tensor] = {}

        def look(index: int) -> None:
            images = chunk(index)[: count - index * CHUNK]
            for extractor in self.extractors:
                found = features_of(extractor, images, index * CHUNK, self.asked.batch_size)
                if extractor.name in moments:
                    moments[extractor.name].update(found)
                if extractor is main:
                    features[index] = found
                if extractor.name == "classifier" and self.data_shares is not None and self.panel.classify is not None:
                    classes[index] = self.panel.classify(found)[:, None]

        self.processes.share(count, look, f"features of {what}" if self.thorough else None)
        asked = [labels(index) for index in range(math.ceil(count / CHUNK))] if labels else []
        known = [of_chunk for of_chunk in asked if of_chunk is not None]
        return Seen(
            self.processes.gather(features, count, main.num_features, torch.float32),
            {name: metric.compute() for name, metric in moments.items()},
            self.processes.gather(classes, count, 1, torch.int64)[:, 0].cpu() if self.data_shares is not None else None,
            torch.cat(known)[:count] if known else None,
        )

    def metrics(self, seen: Seen, held_out: bool) -> tuple[dict[str, Estimate], dict[str, Any]]:
        """On one process alone."""
        features, count, name = seen.features, len(seen.features), self.panel.main.name
        distance = DISTANCES[name]
        found: dict[str, Estimate] = {}
        details: dict[str, Any] = {}
        for other, reference in self.references.items():
            value = frechet_distance(reference.moments, seen.moments[other]).item()
            found[DISTANCES[other]] = Estimate(value, count)
        few = min(self.neighbour_count, count)
        # Images on disk may come class by class; the test split comes in the order of its reference, and keeps it.
        order = torch.arange(count) if held_out else torch.randperm(count, generator=generator_for("images judged"))
        fakes, reals = features[order[:few]], self.train.features[:few]
        found[KERNEL_DISTANCES[name]] = kernel_distance(reals, fakes)
        if few not in self._real_radii:
            self._real_radii[few] = radii_among(reals, self.asked.neighbours)
        of_neighbours = neighbour_metrics(reals, fakes, self.asked.neighbours, self._real_radii[few])
        found |= {metric: Estimate(value, few) for metric, value in of_neighbours.items()}
        if self.dataset.is_points:
            found |= point_metrics(features, fakes, reals, point_set_of(self.dataset))
        if self.thorough:
            if count >= ENOUGH * features.shape[1]:
                distances = by_samples(self.train.moments, features, order)
                found[f"{distance}_infinity"] = Estimate(at_infinity(distances), count)
                details["frechet_by_samples"] = [{"samples": size, "value": value} for size, value in distances]
            of_copies = copies(self.train.features, self.held_out.features, fakes, held_out)
            found |= {metric: Estimate(value, few) for metric, value in of_copies.items()}
        if seen.classes is not None and self.data_shares is not None:
            covered = mode_coverage(seen.classes, self.data_shares)
            found["modes"], found["class_kl"] = Estimate(covered.modes, count), Estimate(covered.kl, count)
            if len(self.data_shares) <= MOST_BARS:
                names = self.dataset.manifest.label_names or [str(label) for label in range(len(self.data_shares))]
                shares = {"samples": covered.shares.tolist(), "data": self.data_shares.tolist()}
                details["class_histogram"] = {"names": list(names), **shares}
            if seen.labels is not None and (seen.labels >= 0).any():
                found["label_accuracy"] = label_accuracy(seen.classes, seen.labels)
        return found, details


def label_accuracy(classes: Tensor, labels: Tensor) -> Estimate:
    """Share of the images whose class, (N,), is their label, of those whose label is known (not -1)."""
    return over_images((classes == labels)[labels >= 0].double())
