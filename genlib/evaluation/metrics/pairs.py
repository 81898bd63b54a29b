"""Samples for the conditions of test images, beside these images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from genlib.config.metrics import Metric
from genlib.evaluation.estimates import Estimate, Findings, over_images

if TYPE_CHECKING:
    from torch import Tensor

    from genlib.config.run import RunConfig
    from genlib.evaluation.scoring.pairs import PairSet


def likeness(pairs: PairSet) -> Findings:
    """To the test images, and to the conditions, whose own difference to the test images is the floor."""
    found = pairs.samples
    return Findings(
        {
            "condition_psnr": over_images(found.psnr),
            "condition_ssim": over_images(found.ssim),
            "condition_error": over_images(found.error),
        },
        floor={"condition_error": over_images(pairs.truth.error)},
    )


def distance_of_pairs(pairs: PairSet) -> Findings:
    from genlib.evaluation.statistics.frechet import frechet_distance

    distance = frechet_distance(pairs.truth.pairs, pairs.samples.pairs).item()
    return Findings({"fd_pairs": Estimate(distance, len(pairs.samples.psnr))})


def diversity(pairs: PairSet) -> Findings:
    """Nothing of a single sample for each condition."""
    if pairs.draws == 1:
        return Findings()
    return Findings({"condition_diversity": root_mean(pairs.samples.variance)})


def root_mean(variances: Tensor) -> Estimate:
    """The standard deviation of a mean variance, (N,), and its error to first order."""
    mean = over_images(variances)
    root = mean.value**0.5
    assert mean.standard_error is not None
    return Estimate(root, mean.count, mean.standard_error / (2 * root) if root else 0.0)


def with_a_condition_image(metric: Metric, run: RunConfig) -> str | None:
    """A condition that is an image."""
    if run.condition.is_image:
        return None
    return (
        f"registry.metric ({metric.name}) is of samples for a condition that is an image, and condition is "
        f"{run.condition.name}; use {run.evaluation.features.frechet}."
    )


of_pairs = partial(Metric, over="pairs", during_training=True, needs=(with_a_condition_image,))
CONDITION_PSNR = of_pairs(
    "condition_psnr",
    "higher",
    "of samples to the image that the condition was taken of, decibels; at most 58.9",
    compute=likeness,
    place=70,
)
CONDITION_SSIM = of_pairs(
    "condition_ssim",
    "higher",
    "structural similarity of samples to the image that the condition was taken of, up to 1",
    compute=likeness,
    definition=2,  # windows inside the image alone
    place=71,
)
CONDITION_ERROR = of_pairs(
    "condition_error",
    "lower",
    "how far samples are from their condition, grey levels of 255",
    compute=likeness,
    place=72,
)
FD_PAIRS = of_pairs(
    "fd_pairs",
    "lower",
    "Fréchet distance of features of the condition beside the sample's, to those beside the true image's",
    compute=distance_of_pairs,
    place=73,
)
CONDITION_DIVERSITY = of_pairs(
    "condition_diversity",
    "higher",
    "standard deviation of a pixel among samples for the same condition, grey levels of 255",
    compute=diversity,
    place=74,
)
