"""Samples in the plane: their distance to the data, and their density under the data's exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric, of_points
from genlib.evaluation.estimates import Findings, over_images

if TYPE_CHECKING:
    from genlib.evaluation.scoring.samples import SampleSet


def in_the_plane(samples: SampleSet) -> Findings:
    """The energy distance of a few samples to as many points of the data, and the mean log density of all; nothing for
    images.
    """
    from genlib.evaluation.statistics.kernel import energy_distance
    from genlib.evaluation.statistics.points import log_density, point_set_of

    if not samples.dataset.is_points:
        return Findings()
    density = over_images(log_density(samples.features, point_set_of(samples.dataset)))
    return Findings({"energy_distance": energy_distance(samples.reals, samples.fakes), "log_density": density})


ENERGY_DISTANCE = Metric(
    "energy_distance",
    "lower",
    "distance of the samples' distribution to the data's; unbiased, so it may fall below 0",
    compute=in_the_plane,
    needs=(of_points,),
    during_training=True,
    place=30,
)
LOG_DENSITY = Metric(
    "log_density",
    None,
    "the samples' mean log density under the data, nats; below the floor they lie where the data do not",
    compute=in_the_plane,
    during_training=True,
    place=31,
)
