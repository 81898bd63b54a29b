"""Checks of an evaluation before hours of training; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.extractors import ExtractorConfig
from genlib.config.metrics import metrics
from genlib.config.run import RunConfig
from genlib.config.training import EvaluationConfig
from genlib.errors import UserError
from genlib.evaluation.extractors.imagenet.config import REMEDY, ImagenetConfig
from genlib.evaluation.extractors.random import RandomConfig
from genlib.runtime.capacity import free_memory, refuse_beyond_memory

if TYPE_CHECKING:
    from genlib.data.folder import DatasetFolder, Manifest, Split

IMAGES_AT_ONCE = 256  # genlib.sampling.draw.CHUNK, whose module needs torch
FEWEST = 4  # images of each kind, or the kernel distance has no error


def check_weights(asked: EvaluationConfig) -> None:
    """UserError where the extractor's weights are asked for and absent, or not the ones that are meant; and where more
    samples are asked for than memory holds.
    """
    check_memory(asked)
    asked.features.check(asked)


def check_memory(asked: EvaluationConfig) -> None:
    """UserError where what an evaluation keeps of its samples at least needs far more memory than is free."""
    free, dimensions = free_memory(), asked.features.num_features or 1
    for key in ("samples", "every_samples") if asked.every else ("samples",):
        rows = getattr(asked, key)
        remedy = f"lower evaluation.{key} ({rows})"
        refuse_beyond_memory({f"{dimensions} features of {rows:,} samples": 4 * dimensions * rows}, free, remedy)
    draws = asked.likelihood_samples  # of each image of a chunk, two float64
    need = {f"{draws:,} importance samples of {IMAGES_AT_ONCE} images": 2 * 8 * draws * IMAGES_AT_ONCE}
    refuse_beyond_memory(need, free, f"lower evaluation.likelihood_samples ({draws})")


def check_counts(asked: EvaluationConfig, manifest: Manifest, samples: str = "evaluation.samples") -> None:
    """UserError where there are fewer images than neighbours to look for, or than the features' dimensions need.

    `samples` is what the user calls the images that are scored.
    """
    fewest = min(asked.samples, manifest.counts["train"], manifest.counts["test"])
    if asked.every:
        fewest = min(fewest, asked.every_samples)
    if fewest < FEWEST:
        raise UserError(
            f"{fewest} images (the least of {samples}, train and test) are too few to score or to compare with; "
            f"use {FEWEST} or more."
        )
    if asked.neighbours >= fewest:
        raise UserError(
            f"evaluation.neighbours ({asked.neighbours}) must be below the number of images ({fewest}, the least of "
            f"{samples}, train and test); lower it, or take more images."
        )
    dimensions = asked.features.dimensions(asked, manifest)
    if dimensions is not None:
        check_dimensions(asked, dimensions, samples, asked.samples)
        if asked.every:
            check_dimensions(asked, dimensions, "evaluation.every_samples", asked.every_samples)


def check_dimensions(asked: EvaluationConfig, dimensions: int, key: str, count: int) -> None:
    """UserError unless `count` images, which `key` asks for, can have a covariance of full rank."""
    if count <= dimensions:
        raise UserError(
            f"{key} ({count}) are too few for the {dimensions} {asked.features.name} features: a perfect model's "
            f"Fréchet distance would be about {null_bias(count, dimensions):.2g} of the features' total variance; "
            f"use {dimensions + 1} or more, better {10 * dimensions}."
        )


def extractor_for(asked: EvaluationConfig, dataset: DatasetFolder) -> tuple[ExtractorConfig, tuple[str, ...]]:
    """The extractor that is asked for, or one that needs no labels where the data has none; and warnings."""
    if not asked.features.needs_labels or dataset.number_of_classes():
        return asked.features, ()
    chosen = without_labels(asked)
    hint = "" if ImagenetConfig().is_installed else f" ({REMEDY} for those of an ImageNet network)"
    warning = (
        f"The data has no labels to train a {asked.features.name} on: images are compared by the {chosen.name} "
        f"features instead{hint}."
    )
    return chosen, (warning,)


def without_labels(asked: EvaluationConfig) -> ExtractorConfig:
    """The extractor for data without labels: an ImageNet network where it is installed and there are enough samples for
    its features, else a random network.
    """
    fewest = min(asked.samples, asked.every_samples) if asked.every else asked.samples
    imagenet = ImagenetConfig()
    assert imagenet.num_features
    return imagenet if imagenet.is_installed and fewest > imagenet.num_features else RandomConfig()


def null_bias(count: int, dimensions: int) -> float:
    """Fréchet distance of `count` samples of the data's own distribution, over the features' total variance.

    For N(0, I) in d dimensions against a reference without end: 1/N + 2 - 2 E[sqrt(eigenvalue)], the eigenvalues of the
    samples' covariance being spread as Marchenko & Pastur (1967) say. Near (1 + d/4) / N when N is large.
    """
    from scipy.special import hyp2f1

    freedom = max(count - 1, 0)
    few, many = sorted((freedom, dimensions))
    mean_root = (
        (few / dimensions) ** 0.5 * hyp2f1(-0.5, 0.5, 2, few / many)
        if freedom < dimensions
        else hyp2f1(-0.5, 0.5, 2, dimensions / freedom)
    )
    return float(1 / count + 2 - 2 * mean_root)


def check_metric(config: RunConfig, dataset: DatasetFolder) -> None:
    """UserError where the gate's metric cannot be measured on the data, or the model cannot be scored on them."""
    metric, features = metrics()[config.registry.metric], config.evaluation.features
    used, _ = extractor_for(config.evaluation, dataset)
    used.check(config.evaluation)
    dimensions = features.dimensions(config.evaluation, dataset.manifest)
    needed = metric.samples_per_dimension * (dimensions or 0)
    if config.evaluation.samples < needed:
        raise UserError(
            f"registry.metric ({metric.name}) is extrapolated from {metric.samples_per_dimension} samples or more for "
            f"each of the {dimensions} {features.name} features; set evaluation.samples to {needed} or more."
        )
    if metric.needs_classes and not dataset.is_points and not dataset.number_of_classes():
        remedy = (
            f"set evaluation.features={used.name} and registry.metric={used.frechet}"
            if features.needs_labels
            else f"set registry.metric={features.frechet}"
        )
        raise UserError(
            f"registry.metric ({metric.name}) needs a classifier of two classes or more, but {why_none(dataset)}; "
            f"{remedy}."
        )
    if config.method.has_encoder and config.method.takes_labels and not has_labels(dataset, "test"):
        raise UserError(
            "method.conditioning needs labels of test images, which the encoder is evaluated on, but "
            f"the test split of {dataset.manifest.source} has none; name a data.test_split with labels, hold one out "
            "with data.test_split=null, or set method.conditioning=none."
        )


def has_labels(dataset: DatasetFolder, split: Split) -> bool:
    return dataset.unlabelled(split) < dataset.manifest.counts[split] and dataset.labels(split) is not None


def why_none(dataset: DatasetFolder) -> str:
    """Why no classifier can be trained."""
    source, names, labels = dataset.manifest.source, dataset.manifest.label_names, dataset.labels("train")
    if labels is None or not has_labels(dataset, "train"):
        return f"the train split of {source} has no labels" if names else f"{source} has no labels"
    only = int(labels.max())
    return f"all labelled train images of {source} are of one class ({names[only] if names else only})"
