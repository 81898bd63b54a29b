"""The likeness of test images and their reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric, with_an_encoder
from genlib.evaluation.estimates import Findings

if TYPE_CHECKING:
    from genlib.evaluation.scoring.held_out import HeldOutModel


def reconstructions(of: HeldOutModel) -> Findings:
    """Nothing for points."""
    from genlib.evaluation.statistics.reconstruction import reconstruction_metrics

    if of.dataset.is_points:
        return Findings()
    return reconstruction_metrics(of.model, of.images, of.processes, of.asked.batch_size)


PSNR = Metric(
    "psnr",
    "higher",
    "of reconstructions, decibels, mean over images; an equal image has 58.9, the ratio of rounding to uint8",
    over="reconstructions",
    compute=reconstructions,
    needs=(with_an_encoder,),
    during_training=True,
    definition=2,  # the error counts as that of rounding at least
    place=100,
)
SSIM = Metric(
    "ssim",
    "higher",
    "structural similarity of reconstructions, up to 1, over windows inside the image",
    over="reconstructions",
    compute=reconstructions,
    needs=(with_an_encoder,),
    during_training=True,
    definition=2,  # windows inside the image alone
    place=101,
)
