"""Extractors: the features by which images, or points, are compared; a kind of choice, free of torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from genlib.choices.choice import Choice, rule

if TYPE_CHECKING:
    import torch

    from genlib.config.run import RunConfig
    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder, Manifest
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes


class ExtractorConfig(Choice):
    """An extractor of features, and the names of the distances that are measured over them."""

    folder: ClassVar[str] = "genlib.evaluation.extractors"
    noun: ClassVar[str] = "extractor"
    bare: ClassVar[bool] = True

    frechet: ClassVar[str]  # the metric that is the Fréchet distance over its features
    kernel: ClassVar[str]  # the one that is the kernel distance
    title: ClassVar[str]  # what a report calls its features
    num_features: ClassVar[int | None] = None  # None where the data or the weights decide
    takes_points: ClassVar[bool] = False  # points in the plane, and no images
    needs_labels: ClassVar[bool] = False  # of the train split, of two classes or more
    is_compared_beside: ClassVar[bool] = False  # its Fréchet distance stands beside that of every other extractor

    def check(self, asked: EvaluationConfig) -> None:
        """UserError where its weights are absent, or not the ones that are meant."""

    def dimensions(self, asked: EvaluationConfig, manifest: Manifest) -> int | None:
        """Number of features; None where it is not known before the weights are there."""
        return self.num_features

    @abstractmethod
    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        """The extractor on the device, the same on every process, all of which must ask for it."""

    @rule
    def fits_the_data(self, run: RunConfig, key: str) -> str | None:
        """evaluation.features: points is for points in the plane, and for nothing else."""
        source = run.data.source
        if run.data.is_points == self.takes_points:
            return None
        if run.data.is_points:
            return f"{key} ({self.name}) is of images, and data.source {source} is points; use points."
        return f"{key} ({self.name}) is of points in the plane, and data.source {source} is images; use classifier."
