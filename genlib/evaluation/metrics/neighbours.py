"""Precision, recall, density and coverage: whether samples and data lie among each other's nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import NEIGHBOURS, Metric
from genlib.evaluation.estimates import Estimate, Findings

if TYPE_CHECKING:
    from genlib.evaluation.scoring.samples import SampleSet


def neighbours(samples: SampleSet) -> Findings:
    from genlib.evaluation.statistics.neighbours import neighbour_metrics

    found = neighbour_metrics(samples.reals, samples.fakes, samples.neighbours, samples.real_radii)
    return Findings({name: Estimate(value, len(samples.fakes)) for name, value in found.items()})


def record(name: str, meaning: str, place: int) -> Metric:
    return Metric(
        name,
        "higher",
        meaning,
        compute=neighbours,
        during_training=True,
        depends_on=(NEIGHBOURS,),
        compared=True,
        place=place,
    )


PRECISION = record("precision", "share of samples that lie among the real images", 20)
RECALL = record("recall", "share of real images that lie among the samples", 21)
DENSITY = record("density", "how densely real images surround the samples; 1 as among themselves", 22)
COVERAGE = record("coverage", "share of real images with a sample nearby", 23)
