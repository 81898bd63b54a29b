"""Features of a random network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.config.extractors import ExtractorConfig

if TYPE_CHECKING:
    import torch

    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes


class RandomConfig(ExtractorConfig):
    """The classifier's network with its first weights: needs neither labels nor training."""

    name: Literal["random"] = "random"
    frechet: ClassVar[str] = "fd_random"
    kernel: ClassVar[str] = "kd_random"
    title: ClassVar[str] = "random"
    num_features: ClassVar[int | None] = 64
    is_compared_beside: ClassVar[bool] = True

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        from genlib.evaluation.extractors.classifier.network import random_extractor

        return random_extractor(dataset, device)
