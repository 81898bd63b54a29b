"""Points in the plane, whose coordinates are their features."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.config.extractors import ExtractorConfig

if TYPE_CHECKING:
    import torch

    from genlib.config.training import EvaluationConfig
    from genlib.data.folder import DatasetFolder
    from genlib.evaluation.features import Extractor
    from genlib.evaluation.scoring.processes import Processes


class PointsConfig(ExtractorConfig):
    """Points in the plane as they are."""

    name: Literal["points"] = "points"
    frechet: ClassVar[str] = "fd_points"
    kernel: ClassVar[str] = "kd_points"
    title: ClassVar[str] = "points"
    num_features: ClassVar[int | None] = 2
    takes_points: ClassVar[bool] = True

    def build(
        self, asked: EvaluationConfig, dataset: DatasetFolder, device: torch.device, processes: Processes
    ) -> Extractor:
        return points_extractor().to(device)


def points_extractor() -> Extractor:
    """float32 (N, 2) => the same."""
    import torch
    from torch import nn

    from genlib.evaluation.features import Extractor

    network = "coordinates"
    sha256 = hashlib.sha256(network.encode()).hexdigest()
    return Extractor("points", nn.Identity(), 2, sha256, {"network": network}, dtype=torch.float32)
