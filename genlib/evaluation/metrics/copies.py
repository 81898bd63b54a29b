"""Nearness of samples to training images: copies, as far as features tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric
from genlib.evaluation.estimates import Estimate, Findings

if TYPE_CHECKING:
    from genlib.evaluation.scoring.samples import SampleSet


def copies_of_training_images(samples: SampleSet) -> Findings:
    from genlib.evaluation.statistics.neighbours import copies

    found = copies(samples.train.features, samples.held_out.features, samples.fakes, samples.are_held_out)
    return Findings({name: Estimate(value, len(samples.fakes)) for name, value in found.items()})


AUTHENTIC = Metric(
    "authpct",
    "higher",
    "% of samples that are no copies of training images, as far as features tell",
    compute=copies_of_training_images,
    definition=2,  # equal training images count as one, a tie is a copy, and all training images are looked at
    compared=True,
    place=50,
)
TO_TRAIN = Metric(
    "nn_distance_train",
    None,
    "mean distance to the nearest training image",
    compute=copies_of_training_images,
    place=51,
)
TO_HELD_OUT = Metric(
    "nn_distance_held_out",
    None,
    "mean distance to the nearest held-out image",
    compute=copies_of_training_images,
    place=52,
)
NEARER_TO_TRAIN = Metric(
    "nearer_to_train",
    None,
    "share of samples nearer to training than to as many held-out images; 0.5 copies nothing",
    compute=copies_of_training_images,
    place=53,
)
