"""Distances between features of samples and of the data: Fréchet distances, and the kernel distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.metrics import Metric
from genlib.evaluation.estimates import Estimate, Findings

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.evaluation.scoring.held_out import HeldOutModel
    from genlib.evaluation.scoring.samples import SampleSet

ENOUGH = 10  # samples for each dimension, below which the distance at endless samples cannot be told


def distances(samples: SampleSet) -> Findings:
    """Fréchet distances of all samples to the whole train split, and the kernel distance of as many of each."""
    from genlib.evaluation.statistics.frechet import frechet_distance
    from genlib.evaluation.statistics.kernel import kernel_distance

    extractors = choices_of_kind(ExtractorConfig)
    found = {
        extractors[name].frechet: Estimate(
            frechet_distance(reference.moments, samples.moments[name]).item(), samples.count
        )
        for name, reference in samples.references.items()
    }
    return Findings(found | {extractors[samples.extractor].kernel: kernel_distance(samples.reals, samples.fakes)})


def distance_at_infinity(samples: SampleSet) -> Findings:
    """Nothing for fewer than ENOUGH samples for each dimension."""
    from genlib.evaluation.statistics.frechet import at_infinity, by_samples

    if samples.count < ENOUGH * samples.features.shape[1]:
        return Findings()
    values = by_samples(samples.train.moments, samples.features, samples.order)
    name = f"{choices_of_kind(ExtractorConfig)[samples.extractor].frechet}_infinity"
    curve = [{"samples": size, "value": value} for size, value in values]
    return Findings({name: Estimate(at_infinity(values), samples.count)}, {"frechet_by_samples": curve})


def distance_of_reconstructions(of: HeldOutModel) -> Findings:
    """To all test images; nothing for points."""
    from genlib.evaluation.statistics.frechet import frechet_distance
    from genlib.evaluation.statistics.reconstruction import reconstructions_of

    if of.dataset.is_points:
        return Findings()
    name, test = of.scorer.extractors.main.name, of.scorer.held_out.moments
    again = reconstructions_of(of.model, of.images, of.asked.batch_size)
    moments = of.scorer.see(again, of.images.count, "reconstructions").moments[name]
    distance = of.processes.first(lambda: frechet_distance(test, moments).item())
    return Findings({f"r{choices_of_kind(ExtractorConfig)[name].frechet}": Estimate(distance, of.images.count)})


def by_these_features(metric: Metric, run: RunConfig) -> str | None:
    """The features that are asked for; or those that stand beside them, for the Fréchet distance alone."""
    features = run.evaluation.features
    beside = {
        extractor.frechet for extractor in choices_of_kind(ExtractorConfig).values() if extractor.is_compared_beside
    }
    if metric.extractor == features.name or (metric.name in beside and not features.takes_points):
        return None
    return (
        f"registry.metric ({metric.name}) is not measured by evaluation.features '{features.name}'; "
        f"use {features.frechet}."
    )


def of_extractor(name: str, extractor: type[ExtractorConfig]) -> tuple[Metric, ...]:
    """The distances over one extractor's features."""
    over, needs = f"of {extractor.title} features", (by_these_features,)
    return (
        Metric(
            extractor.frechet,
            "lower",
            f"Fréchet distance {over}",
            compute=distances,
            needs=needs,
            needs_classes=extractor.needs_labels,
            extractor=name,
            during_training=True,
            compared=True,
            place=10,
        ),
        Metric(
            extractor.kernel,
            "lower",
            f"kernel distance {over}; unbiased, so it may fall below 0",
            compute=distances,
            needs=needs,
            needs_classes=extractor.needs_labels,
            extractor=name,
            during_training=True,
            compared=True,
            place=11,
        ),
        Metric(
            f"{extractor.frechet}_infinity",
            "lower",
            f"Fréchet distance {over}, extrapolated to endless samples",
            compute=distance_at_infinity,
            needs=needs,
            needs_classes=extractor.needs_labels,
            extractor=name,
            samples_per_dimension=ENOUGH,
            place=40,
        ),
        Metric(
            f"r{extractor.frechet}",
            None,
            f"Fréchet distance of reconstructions to their originals, {extractor.title} features",
            over="reconstructions",
            compute=distance_of_reconstructions,
            extractor=name,
            place=103,
        ),
    )


DISTANCES = tuple(
    metric for name, extractor in choices_of_kind(ExtractorConfig).items() for metric in of_extractor(name, extractor)
)
