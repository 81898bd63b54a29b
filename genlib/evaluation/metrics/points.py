"""Samples in the plane: their coordinates as features, and what their exact density says of them."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from genlib.data import sources
from genlib.data.folder import DatasetFolder
from genlib.data.reading.points import PointSet
from genlib.evaluation.estimates import Estimate, over_images
from genlib.evaluation.extractors.features import Extractor
from genlib.evaluation.metrics.kernel import energy_distance
from genlib.evaluation.metrics.modes import mixture_coverage


def points_extractor() -> Extractor:
    """float32 (N, 2) => the same."""
    network = "coordinates"
    sha256 = hashlib.sha256(network.encode()).hexdigest()
    return Extractor("points", nn.Identity(), 2, sha256, {"network": network}, dtype=torch.float32)


def point_set_of(dataset: DatasetFolder) -> PointSet:
    return sources.point_set_of(dataset.manifest.source)


def log_density(points: Tensor, of: PointSet) -> Tensor:
    """The exact one of the data in nats, float64 (N, 2) => (N,)."""
    return torch.from_numpy(of.log_density(points.double().cpu().numpy()))


def point_metrics(points: Tensor, few: Tensor, reals: Tensor, of: PointSet) -> dict[str, Estimate]:
    """Of samples (N, 2): the energy distance of a few to as many points of the data; the mean log density of all under
    the data; and if this is a mixture of Gaussians, how they cover its modes (Lin et al. 2018, section 4.1).
    """
    found = {"energy_distance": energy_distance(reals, few), "log_density": over_images(log_density(points, of))}
    if of.centres is not None and of.std is not None:
        covered = mixture_coverage(points.cpu(), torch.from_numpy(of.centres), of.std)
        for name, value in {
            "high_quality": covered.high_quality_share,
            "modes": covered.modes,
            "reverse_kl": covered.reverse_kl,
            "reverse_kl_high_quality": covered.reverse_kl_high_quality,
        }.items():
            found[name] = Estimate(value, len(points))
    return found
