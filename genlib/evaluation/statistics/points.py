"""The exact density of the data in the plane."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.data import sources
from genlib.data.folder import DatasetFolder
from genlib.data.reading.points import PointSet


def point_set_of(dataset: DatasetFolder) -> PointSet:
    return sources.point_set_of(dataset.manifest.source)


def log_density(points: Tensor, of: PointSet) -> Tensor:
    """Exact log density of points under the data's distribution in nats, (N, 2) => float64 (N,)."""
    return torch.from_numpy(of.log_density(points.double().cpu().numpy()))
