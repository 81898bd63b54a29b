"""What can be known to be wrong with an evaluation before hours of training; free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genlib.config.metrics import DISTANCES, KERNEL_DISTANCES
from genlib.config.run import RunConfig
from genlib.config.training import EvaluationConfig
from genlib.errors import UserError
from genlib.evaluation.extractors.dinov2_weights import check_dinov2, dinov2_features
from genlib.runtime.capacity import free_memory, refuse_beyond_memory
from genlib.storage.files import sha256_of_file

if TYPE_CHECKING:
    from genlib.data.folder import DatasetFolder, Manifest, Part

DIMENSIONS = {"classifier": 64, "random": 64, "inception": 2048, "points": 2}  # of the features
OF_CLASSES = ("modes", "class_kl", "label_accuracy")
IMAGES_AT_ONCE = 256  # genlib.sampling.draw.CHUNK, whose module needs torch
ENOUGH = 10  # samples for each dimension, below which the distance at endless samples cannot be told
FEWEST = 4  # images of each kind, or the kernel distance has no error
PUBLISHED_FILE = "pt_inception-2015-12-05-6726825d.pth"
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
WHERE_TO_GET_IT = (
    f"get {PUBLISHED_FILE} (SHA-256 {PUBLISHED_SHA256}) from the release 'fid_weights' of the GitHub project "
    "mseitzer/pytorch-fid and set evaluation.inception_weights and evaluation.inception_sha256"
)


def check_weights(asked: EvaluationConfig) -> None:
    """UserError where the extractor's weights are asked for and absent, or not the ones that are meant; and where more
    samples are asked for than memory holds.
    """
    check_memory(asked)
    if asked.features == "inception":
        assert asked.inception_weights and asked.inception_sha256  # RunConfig sees to it
        check_weights_file(asked.inception_weights, asked.inception_sha256)
    if asked.features == "dinov2":
        check_dinov2(asked.dinov2_weights)


def check_memory(asked: EvaluationConfig) -> None:
    """UserError where what an evaluation keeps of its samples at least needs far more memory than is free."""
    free, dimensions = free_memory(), DIMENSIONS.get(asked.features, 1)
    for key in ("samples", "every_samples") if asked.every else ("samples",):
        rows = getattr(asked, key)
        remedy = f"lower evaluation.{key} ({rows})"
        refuse_beyond_memory({f"{dimensions} features of {rows:,} samples": 4 * dimensions * rows}, free, remedy)
    draws = asked.likelihood_samples  # of each image of a chunk, two float64
    need = {f"{draws:,} importance samples of {IMAGES_AT_ONCE} images": 2 * 8 * draws * IMAGES_AT_ONCE}
    refuse_beyond_memory(need, free, f"lower evaluation.likelihood_samples ({draws})")


def check_weights_file(weights: Path, sha256: str) -> None:
    """UserError if the file is absent or has another hash."""
    if not weights.is_file():
        raise UserError(f"evaluation.inception_weights ({weights}) is no file; {WHERE_TO_GET_IT}.")
    found = sha256_of_file(weights)
    if found != sha256:
        raise UserError(
            f"{weights} has the SHA-256 {found}, but evaluation.inception_sha256 is {sha256}; {WHERE_TO_GET_IT}."
        )


def check_counts(asked: EvaluationConfig, manifest: Manifest, samples: str = "evaluation.samples") -> None:
    """UserError where there are fewer images than neighbours to look for, or than the features' dimensions need.

    `samples` is what the user calls the images that are judged.
    """
    fewest = min(asked.samples, manifest.counts["train"], manifest.counts["test"])
    if asked.every:
        fewest = min(fewest, asked.every_samples)
    if fewest < FEWEST:
        raise UserError(
            f"{fewest} images (the least of {samples}, train and test) are too few to judge or to judge by; "
            f"use {FEWEST} or more."
        )
    if asked.neighbours >= fewest:
        raise UserError(
            f"evaluation.neighbours ({asked.neighbours}) must be below the number of images ({fewest}, the least of "
            f"{samples}, train and test); lower it, or take more images."
        )
    dimensions = dimensions_of(asked, manifest)
    if dimensions is not None:
        check_dimensions(asked, dimensions, samples, asked.samples)
        if asked.every:
            check_dimensions(asked, dimensions, "evaluation.every_samples", asked.every_samples)


def check_dimensions(asked: EvaluationConfig, dimensions: int, key: str, count: int) -> None:
    """UserError unless `count` images, which `key` asks for, can have a covariance of full rank."""
    if count <= dimensions:
        raise UserError(
            f"{key} ({count}) are too few for the {dimensions} {asked.features} features: a perfect model's Fréchet "
            f"distance would be about {null_bias(count, dimensions):.2g} of the features' total variance; "
            f"use {dimensions + 1} or more, better {10 * dimensions}."
        )


def dimensions_of(asked: EvaluationConfig, manifest: Manifest) -> int | None:
    """Of the features; None where they are not known before the weights are there."""
    if asked.features == "dinov2":
        return dinov2_features(asked.dinov2_weights)
    parts = 3 if asked.features == "classifier" and manifest.label_names and manifest.request.get("stacked") else 1
    return parts * DIMENSIONS[asked.features]


def null_bias(count: int, dimensions: int) -> float:
    """The Fréchet distance that `count` samples of the very distribution get, over the features' total variance.

    Of N(0, I) in d dimensions against a reference without end: 1/N + 2 - 2 E[sqrt(eigenvalue)], the eigenvalues of the
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
    """UserError where the gate's metric cannot be measured on the data, or the model cannot be judged on them."""
    metric, features = config.registry.metric, config.evaluation.features
    dimensions = dimensions_of(config.evaluation, dataset.manifest)
    if metric.endswith("_infinity") and dimensions and config.evaluation.samples < ENOUGH * dimensions:
        raise UserError(
            f"registry.metric ({metric}) is extrapolated from {ENOUGH} samples or more for each of the {dimensions} "
            f"{features} features; set evaluation.samples to {ENOUGH * dimensions} or more."
        )
    if not dataset.is_points and needs_a_classifier(metric) and not dataset.number_of_classes():
        remedy = (
            f"set evaluation.features=random and registry.metric={DISTANCES['random']}"
            if features == "classifier"
            else f"set registry.metric={DISTANCES[features]}"
        )
        raise UserError(
            f"registry.metric ({metric}) needs a classifier of two classes or more, but {why_none(dataset)}; {remedy}."
        )
    if config.method.has_encoder and config.method.takes_labels and not has_labels(dataset, "test"):
        raise UserError(
            "method.conditioning needs labels of test images, which the encoder is evaluated on, but "
            f"the test split of {dataset.manifest.source} has none; name a data.test_split with labels, hold one out "
            "with data.test_split=null, or set method.conditioning=none."
        )


def needs_a_classifier(metric: str) -> bool:
    distance = DISTANCES["classifier"]
    return metric in (*OF_CLASSES, distance, f"{distance}_infinity", KERNEL_DISTANCES["classifier"])


def has_labels(dataset: DatasetFolder, split: Part) -> bool:
    return dataset.unlabelled(split) < dataset.manifest.counts[split] and dataset.labels(split) is not None


def why_none(dataset: DatasetFolder) -> str:
    """Why no classifier can be trained."""
    source, names, labels = dataset.manifest.source, dataset.manifest.label_names, dataset.labels("train")
    if labels is None or not has_labels(dataset, "train"):
        return f"the train split of {source} has no labels" if names else f"{source} has no labels"
    only = int(labels.max())
    return f"all labelled train images of {source} are of one class ({names[only] if names else only})"
