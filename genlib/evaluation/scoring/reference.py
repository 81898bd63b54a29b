"""A split of the data as an extractor sees it: computed once, and kept beside the dataset under a key of contents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genlib.data.folder import DatasetFolder, Split
from genlib.evaluation.features import Chunk, Extractor, Labels, chunk_features
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.statistics.frechet import FeatureMoments, Moments
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK
from genlib.storage.files import rename_into_place, sha256_of_json

MOST_NUMBERS = 2**28  # of a split's features that are kept, 1 GiB in float32; moments are of the whole split


class Reference(NamedTuple):
    """On the metrics' device. Any first rows of `features` are a fair choice of the split."""

    moments: Moments
    features: Tensor  # float32 (n, d) of the split's first n rows in shuffled order: all, or what MOST_NUMBERS allows
    rows: Tensor  # int64 (N,), that order


def shuffled_rows(dataset: DatasetFolder, split: Split) -> Tensor:
    """All rows of a split, always in the same order; int64 (N,)."""
    return torch.randperm(dataset.manifest.counts[split], generator=generator_for("images to judge by", split))


def chunks_of(dataset: DatasetFolder, split: Split, rows: Tensor) -> Chunk:
    """The images in `rows` of a split, in chunks."""
    images = dataset.images(split)

    def chunk(index: int) -> Tensor:
        return torch.from_numpy(images[rows[index * CHUNK : (index + 1) * CHUNK].numpy()])

    return chunk


def labels_of(dataset: DatasetFolder, split: Split, rows: Tensor) -> Labels:
    """The labels of `rows` of a split, in the same chunks."""
    labels = dataset.labels(split)

    def chunk(index: int) -> Tensor | None:
        return None if labels is None else torch.from_numpy(labels[rows[index * CHUNK : (index + 1) * CHUNK].numpy()])

    return chunk


def reference_of(
    dataset: DatasetFolder, split: Split, extractor: Extractor, batch_size: int, processes: Processes
) -> Reference:
    """A split's moments and features; computed by all processes together unless they are kept already."""
    rows = shuffled_rows(dataset, split)
    file = reference_file(dataset, split, extractor)
    if not processes.first(file.exists):
        moments, features = computed(dataset, split, rows, extractor, batch_size, processes)
        processes.first(lambda: keep(file, moments, features))
    saved = load_file(file, device=str(processes.metric_device))
    return Reference(Moments(saved["mean"], saved["covariance"], int(saved["count"])), saved["features"], rows)


def kept_of(rows: int, num_features: int) -> int:
    """Number of images, of a split of `rows`, whose features are kept."""
    return min(rows, MOST_NUMBERS // num_features)


def reference_file(dataset: DatasetFolder, split: Split, extractor: Extractor) -> Path:
    key = {
        "extractor": extractor.hash,
        "preprocessing": {name: extractor.facts.get(name) for name in ("network", "layer", "resize")},
        "dataset": dataset.manifest.content_hash,
        "split": split,
        "most_numbers": MOST_NUMBERS,
        "order": 1,  # another number for another order of the rows
    }
    return dataset.path / f"reference-{extractor.name}-{split}-{sha256_of_json(key)[:12]}.safetensors"


def computed(
    dataset: DatasetFolder, split: Split, rows: Tensor, extractor: Extractor, batch_size: int, processes: Processes
) -> tuple[Moments, Tensor]:
    count, kept = len(rows), kept_of(len(rows), extractor.num_features)
    chunk = chunks_of(dataset, split, rows)
    # The same shift for all processes, or their sums would not add up.
    shift = processes.first(lambda: chunk_features(extractor, chunk, 0, count, batch_size).mean(0).cpu())
    moments = FeatureMoments(shift).to(processes.metric_device)
    moments.update(shift.new_empty(0, len(shift)))  # there may be no chunk for this process
    mine: dict[int, Tensor] = {}

    def look(index: int) -> None:
        features = chunk_features(extractor, chunk, index, count, batch_size)
        moments.update(features)
        if index * CHUNK < kept:
            mine[index] = features  # of the last chunk `gather` takes as many as are wanted

    processes.share(count, look, f"{extractor.name} features of the {split} split")
    return moments.compute(), processes.gather(mine, kept, extractor.num_features, torch.float32)


def keep(file: Path, moments: Moments, features: Tensor) -> None:
    count = torch.tensor(moments.count)
    tensors = {"mean": moments.mean, "covariance": moments.covariance, "features": features, "count": count}
    write_tensors(file, tensors)


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write a whole file or none of it; straight to the disk, since the features may take a GiB."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, partial)
    rename_into_place(partial, file)
