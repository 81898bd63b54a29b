"""What can be known to be wrong with an evaluation before hours of training; free of torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genlib.config import EvaluationConfig, RunConfig
from genlib.errors import UserError
from genlib.files import sha256_of_file

if TYPE_CHECKING:
    from genlib.data.folder import Manifest

PUBLISHED_FILE = "pt_inception-2015-12-05-6726825d.pth"
PUBLISHED_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
WHERE_TO_GET_IT = (
    f"get {PUBLISHED_FILE} (SHA-256 {PUBLISHED_SHA256}) from the release 'fid_weights' of the GitHub project "
    "mseitzer/pytorch-fid and set evaluation.inception_weights and evaluation.inception_sha256"
)


def check_weights(asked: EvaluationConfig) -> None:
    """UserError where Inception's weights are asked for and absent, or not the ones that are meant."""
    if asked.features == "inception":
        assert asked.inception_weights and asked.inception_sha256  # RunConfig sees to it
        check_weights_file(asked.inception_weights, asked.inception_sha256)


def check_weights_file(weights: Path, sha256: str) -> None:
    """UserError if the file is absent or has another hash."""
    if not weights.is_file():
        raise UserError(f"evaluation.inception_weights ({weights}) is no file; {WHERE_TO_GET_IT}.")
    found = sha256_of_file(weights)
    if found != sha256:
        raise UserError(
            f"{weights} has the SHA-256 {found}, but evaluation.inception_sha256 is {sha256}; {WHERE_TO_GET_IT}."
        )


def check_counts(asked: EvaluationConfig, manifest: Manifest) -> None:
    """UserError where there are fewer images than neighbours to look for."""
    fewest = min(asked.samples, manifest.counts["train"], manifest.counts["test"])
    if asked.neighbours >= fewest:
        raise UserError(
            f"evaluation.neighbours ({asked.neighbours}) must be below the number of images ({fewest}, the least of "
            f"evaluation.samples, train and test); lower it, or ask for more samples."
        )


def check_metric(config: RunConfig, manifest: Manifest) -> None:
    """UserError where the gate's metric cannot be measured on the data."""
    if manifest.label_names is None and config.registry.metric == "fd_classifier":
        raise UserError(
            f"registry.metric (fd_classifier) needs a classifier, but {manifest.source} has no labels; "
            "set evaluation.features=random and registry.metric=fd_random."
        )
