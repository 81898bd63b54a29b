"""The metrics of a set of images, made by a model or real, against the train split."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from genlib.data.folder import DatasetFolder, Part
from genlib.evaluation.extractors import chunks_of, reference_moments
from genlib.evaluation.features import FRECHET_NAMES, Chunk, Extractor, chunk_features
from genlib.evaluation.frechet import FrechetDistance
from genlib.evaluation.neighbours import neighbour_metrics
from genlib.evaluation.processes import Processes
from genlib.randomness import generator_for


class SampleMetrics:
    """Judges images by their features: all of them by the Fréchet distance to the whole train split's, and the first
    `neighbour_count` by precision, recall, density and coverage against as many images of the train split.
    """

    def __init__(
        self,
        dataset: DatasetFolder,
        extractor: Extractor,
        neighbours: int,
        neighbour_count: int,
        batch_size: int,
        processes: Processes,
    ) -> None:
        self.extractor, self.processes, self.batch_size = extractor, processes, batch_size
        self.neighbours, self.neighbour_count = neighbours, neighbour_count
        self.reference = reference_moments(dataset, extractor, batch_size, processes)
        reals = chunks_of(dataset, "train", choose(dataset, "train", neighbour_count))
        self.reals = self.features(reals, neighbour_count, None, "real images")

    def __call__(self, chunk: Chunk, count: int, what: str) -> dict[str, float]:
        """The metrics of `count` uint8 images, the same on every process."""
        distance = FrechetDistance(self.reference)
        distance.update(self.reals[:0])  # there may be no chunk for this process
        features = self.features(chunk, count, distance, what)[: self.neighbour_count]
        return {
            FRECHET_NAMES[self.extractor.name]: distance.compute().item(),
            **self.processes.first(lambda: neighbour_metrics(self.reals, features, self.neighbours)),
        }

    def features(self, chunk: Chunk, count: int, distance: FrechetDistance | None, what: str) -> Tensor:
        """Of all images, in order, (count, d) on every process; fed to `distance` on the way."""
        mine = {}
        shared = self.processes.chunks(count)
        for index in tqdm(shared, desc=f"features of {what}", disable=None if self.processes.rank == 0 else True):
            mine[index] = chunk_features(self.extractor, chunk, index, count, self.batch_size)
            if distance is not None:
                distance.update(mine[index])
        return self.processes.gather(mine, count, self.extractor.num_features, torch.float32)


def choose(dataset: DatasetFolder, split: Part, count: int) -> Tensor:
    """`count` different rows of a split, always the same ones."""
    rows = dataset.manifest.counts[split]
    return torch.randperm(rows, generator=generator_for("images to judge by", split))[:count]
