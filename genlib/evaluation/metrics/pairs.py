"""Samples for the condition of a test image beside that image; computed by `genlib.evaluation.scoring.pairs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def with_a_condition_image(metric: Metric, run: RunConfig) -> str | None:
    """A condition that is an image."""
    if run.condition.is_image:
        return None
    return (
        f"registry.metric ({metric.name}) is of samples for a condition that is an image, and condition is "
        f"{run.condition.name}; use {run.evaluation.features.frechet}."
    )


CONDITION_PSNR = Metric(
    "condition_psnr",
    "higher",
    "of samples to the image that the condition was taken of, decibels; at most 58.9",
    over="conditions",
    needs=(with_a_condition_image,),
    place=70,
)
CONDITION_SSIM = Metric(
    "condition_ssim",
    "higher",
    "structural similarity of samples to the image that the condition was taken of, up to 1",
    over="conditions",
    needs=(with_a_condition_image,),
    definition=2,  # windows inside the image alone
    place=71,
)
CONDITION_ERROR = Metric(
    "condition_error",
    "lower",
    "how far samples are from their condition, grey levels of 255",
    over="conditions",
    needs=(with_a_condition_image,),
    place=72,
)
FD_PAIRS = Metric(
    "fd_pairs",
    "lower",
    "Fréchet distance of features of the condition beside the sample's, to those beside the true image's",
    over="conditions",
    needs=(with_a_condition_image,),
    place=73,
)
CONDITION_DIVERSITY = Metric(
    "condition_diversity",
    "higher",
    "standard deviation of a pixel among samples for the same condition, grey levels of 255",
    over="conditions",
    needs=(with_a_condition_image,),
    place=74,
)
