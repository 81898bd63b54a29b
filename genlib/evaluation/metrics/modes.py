"""The data's modes that samples reach: classes of images, or Gaussians of a mixture in the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric, of_points
from genlib.data.sources import source_of
from genlib.evaluation.estimates import Estimate, Findings

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.evaluation.scoring.samples import SampleSet

MOST_BARS = 100  # classes whose histogram is kept


def modes(samples: SampleSet) -> Findings:
    """The modes of a mixture by the nearest centre, those of images by the evaluation's classifier, if there is one."""
    if samples.dataset.is_points:
        return of_mixture(samples)
    return of_classes(samples)


def of_mixture(samples: SampleSet) -> Findings:
    import torch

    from genlib.evaluation.statistics.modes import mixture_coverage
    from genlib.evaluation.statistics.points import point_set_of

    mixture = point_set_of(samples.dataset)
    if mixture.centres is None or mixture.std is None:
        return Findings()
    covered = mixture_coverage(samples.features.cpu(), torch.from_numpy(mixture.centres), mixture.std)
    found = {
        "high_quality": covered.high_quality_share,
        "modes": covered.modes,
        "reverse_kl": covered.reverse_kl,
        "reverse_kl_high_quality": covered.reverse_kl_high_quality,
    }
    return Findings({name: Estimate(value, samples.count) for name, value in found.items()})


def of_classes(samples: SampleSet) -> Findings:
    from genlib.evaluation.statistics.modes import label_accuracy, mode_coverage

    classes, labels, data = samples.classes, samples.labels, samples.data_shares
    if classes is None or data is None:
        return Findings()
    covered = mode_coverage(classes, data)
    found = {"modes": Estimate(covered.modes, samples.count), "class_kl": Estimate(covered.kl, samples.count)}
    if labels is not None and (labels >= 0).any():
        found["label_accuracy"] = label_accuracy(classes, labels)
    if len(data) > MOST_BARS:
        return Findings(found)
    names = samples.dataset.manifest.label_names or [str(label) for label in range(len(data))]
    shares = {"samples": covered.shares.tolist(), "data": data.tolist()}
    return Findings(found, {"class_histogram": {"names": list(names), **shares}})


def of_a_mixture(metric: Metric, run: RunConfig) -> str | None:
    """Points of a mixture of Gaussians."""
    if source_of(run.data.source).is_mixture:
        return None
    return f"registry.metric ({metric.name}) is not measured on data.source {run.data.source}; use energy_distance."


def of_images_or_a_mixture(metric: Metric, run: RunConfig) -> str | None:
    """Data with modes."""
    if not run.data.is_points or source_of(run.data.source).is_mixture:
        return None
    return f"registry.metric ({metric.name}) needs modes, which {run.data.source} has not; use energy_distance."


def by_a_classifier(metric: Metric, run: RunConfig) -> str | None:
    """Images."""
    if not run.data.is_points:
        return None
    return f"registry.metric ({metric.name}) needs a classifier of images; use energy_distance for points."


def with_labels(metric: Metric, run: RunConfig) -> str | None:
    """A method that takes labels."""
    if run.method.takes_labels:
        return None
    return f"registry.metric ({metric.name}) is of samples with a label; set method.conditioning."


MODES = Metric(
    "modes",
    "higher",
    "classes, or Gaussians of a mixture, that the samples reach",
    compute=modes,
    needs=(of_images_or_a_mixture,),
    needs_classes=True,
    during_training=True,
    place=60,
)
CLASS_KL = Metric(
    "class_kl",
    "lower",
    "KL(samples || data), nats: the samples' classes by the evaluation's classifier, the data's by the labels of the "
    "train split",
    compute=modes,
    needs=(by_a_classifier,),
    needs_classes=True,
    compared=True,
    place=61,
)
LABEL_ACCURACY = Metric(
    "label_accuracy",
    "higher",
    "share of samples whose class, by the classifier, is the label that was asked for",
    compute=modes,
    needs=(by_a_classifier, with_labels),
    needs_classes=True,
    has_baseline=False,
    place=62,
)
HIGH_QUALITY = Metric(
    "high_quality",
    "higher",
    "share of samples within three standard deviations of a Gaussian's centre",
    compute=modes,
    needs=(of_points, of_a_mixture),
    during_training=True,
    place=63,
)
REVERSE_KL = Metric(
    "reverse_kl",
    "lower",
    "KL(samples || data) over the Gaussians, nats; every sample counts at its nearest one",
    compute=modes,
    needs=(of_points, of_a_mixture),
    during_training=True,
    definition=2,  # every sample counts at its nearest mode
    place=64,
)
REVERSE_KL_HIGH_QUALITY = Metric(
    "reverse_kl_high_quality",
    "lower",
    "the same of the samples within three standard deviations alone",
    compute=modes,
    needs=(of_points, of_a_mixture),
    during_training=True,
    place=65,
)
