"""Which extractor judges a run, and the reference moments that are kept beside the dataset under its hash."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from genlib.config import EvaluationConfig
from genlib.data.folder import DatasetFolder, Part
from genlib.evaluation.classifier import classifier_extractor, classifier_folder, number_of_classes, random_extractor
from genlib.evaluation.features import Chunk, Extractor, chunk_features
from genlib.evaluation.frechet import FeatureMoments, Moments
from genlib.evaluation.inception import inception_extractor
from genlib.evaluation.processes import Processes
from genlib.files import sha256_of_json, write_bytes
from genlib.sampling import CHUNK


def build_extractor(
    config: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
) -> tuple[Extractor, list[str]]:
    """The extractor that is asked for, or the nearest that the data allows, and warnings that say so.

    UserError where weights are absent or not the right ones.
    """
    match config.features:
        case "inception":
            assert config.inception_weights and config.inception_sha256  # RunConfig sees to it
            return inception_extractor(config.inception_weights, config.inception_sha256).to(device), []
        case "classifier" if number_of_classes(dataset):
            folder = processes.first(lambda: classifier_folder(dataset, device))
            return classifier_extractor(dataset, folder, device), []
        case "classifier":
            warning = "The data has no labels to train a classifier on: features are those of a random network."
            return random_extractor(dataset, device), [warning]
        case "random":
            return random_extractor(dataset, device), []


def chunks_of(dataset: DatasetFolder, split: Part, rows: Tensor | None = None) -> Chunk:
    """The images of a split in chunks; all of them, or those in `rows`."""
    images = dataset.images(split)

    def chunk(index: int) -> Tensor:
        here = slice(index * CHUNK, (index + 1) * CHUNK)
        return torch.from_numpy(images[here].copy() if rows is None else images[rows[here].numpy()])

    return chunk


def reference_moments(dataset: DatasetFolder, extractor: Extractor, batch_size: int, processes: Processes) -> Moments:
    """Of the whole train split's features, on the metrics' device; computed once for each extractor and dataset."""
    file = moments_file(dataset, extractor)
    if not processes.first(file.exists):
        rows, chunk = dataset.manifest.counts["train"], chunks_of(dataset, "train")

        def features(index: int) -> Tensor:
            return chunk_features(extractor, chunk, index, rows, batch_size)

        shift = processes.first(lambda: features(0).mean(0).cpu())  # the same for all, or the sums would not add up
        moments = FeatureMoments(shift).to(processes.metric_device)
        moments.update(shift.new_empty(0, len(shift)))  # there may be no chunk for this process
        for index in processes.chunks(rows):
            moments.update(features(index))
        found = moments.compute()
        content = {"mean": found.mean.cpu(), "covariance": found.covariance.cpu(), "count": torch.tensor(found.count)}
        processes.first(lambda: write_bytes(file, save(content)))
    saved = load_file(file, device=str(processes.metric_device))
    return Moments(saved["mean"], saved["covariance"], int(saved["count"]))


def moments_file(dataset: DatasetFolder, extractor: Extractor) -> Path:
    key = sha256_of_json({"extractor": extractor.hash, "dataset": dataset.manifest.content_hash, "split": "train"})
    return dataset.path / f"moments-{extractor.name}-{key[:12]}.safetensors"
