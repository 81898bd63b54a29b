"""Features of a small classifier that is trained on the data's labels, once for a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.config.extractors import ExtractorConfig

if TYPE_CHECKING:
    import torch

    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder, Manifest
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes

CHANNELS_OF_STACKED = 3  # genlib.data.folder.STACKED, whose module needs numpy


class ClassifierConfig(ExtractorConfig):
    """A small classifier, trained on the labels of the train split; without labels imagenet or random features."""

    name: Literal["classifier"] = "classifier"
    frechet: ClassVar[str] = "fd_classifier"
    kernel: ClassVar[str] = "kd_classifier"
    title: ClassVar[str] = "classifier"
    num_features: ClassVar[int | None] = 64
    needs_labels: ClassVar[bool] = True

    def dimensions(self, asked: EvaluationConfig, manifest: Manifest) -> int | None:
        """Those of each channel where the images are stacked."""
        assert self.num_features
        stacked = manifest.label_names and manifest.request.get("stacked")
        return self.num_features * (CHANNELS_OF_STACKED if stacked else 1)

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        from genlib.evaluation.extractors.classifier.network import classifier_extractor, classifier_folder

        folder = processes.first(lambda: classifier_folder(dataset, device))
        return classifier_extractor(dataset, folder, device)
