"""The Fréchet distance between Gaussians that are fitted to two sets of features (Heusel et al. 2017)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor
from torchmetrics import Metric


class Moments:
    """Mean (d,) and unbiased covariance (d, d) of `count` features, float64."""

    def __init__(self, mean: Tensor, covariance: Tensor, count: int) -> None:
        self.mean, self.covariance, self.count = mean, covariance, count

    @cached_property
    def root(self) -> Tensor:
        """A (d, r) with A A' = covariance and r its numerical rank: a Cholesky factor with pivots."""
        covariance = self.covariance.cpu().numpy()
        tolerance = len(covariance) * np.finfo(covariance.dtype).eps * covariance.diagonal().max()
        if tolerance == 0:
            return self.covariance.new_empty(len(covariance), 0)
        factor, pivots, rank, _ = lapack.dpstrf(covariance, tol=tolerance, lower=1)
        root = np.empty((len(covariance), rank))
        root[pivots - 1] = np.tril(factor)[:, :rank]
        return torch.from_numpy(root).to(self.covariance)


def rounding(eigenvalues: Tensor) -> Tensor:
    """The size up to which an eigenvalue may be a rounded zero."""
    return eigenvalues.abs().amax() * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps


def frechet_distance(first: Moments, second: Moments) -> Tensor:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), a scalar (Heusel et al. 2017, eq. 6).

    With S1 = A A', the eigenvalues of S1 S2 that are not zero are those of A' S2 A, which is symmetric: this is right
    for singular covariances, and faster than a square root of S1 S2.
    """
    root = first.root
    squared_means = (first.mean - second.mean).square().sum()
    traces = first.covariance.trace() + second.covariance.trace()
    if root.shape[1] == 0:  # all the first features are equal
        return squared_means + traces
    values = torch.linalg.eigvalsh(root.T @ second.covariance @ root)
    trace_of_root = values[values > rounding(values)].sqrt().sum()
    return (squared_means + traces - 2 * trace_of_root).clamp(min=0)


class FeatureSums(Metric):
    """Float64 sums over features (N, d), added up over the processes once, when the metric is computed.

    Features are shifted by a fixed vector near their mean first, lest the covariance be a small difference of large
    numbers.
    """

    full_state_update = False
    shift: Tensor
    count: Tensor
    sum: Tensor
    outer_sum: Tensor

    def __init__(self, shift: Tensor, **arguments: Any) -> None:
        super().__init__(**arguments)
        size = len(shift)
        self.register_buffer("shift", shift.double())
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("sum", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("outer_sum", torch.zeros(size, size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, features: Tensor) -> None:
        shifted = features.to(self.sum.device).double() - self.shift
        self.count += len(shifted)
        self.sum += shifted.sum(0)
        self.outer_sum += shifted.T @ shifted

    def moments(self) -> Moments:
        count = int(self.count)
        if count < 2:
            raise ValueError(f"a covariance needs two features or more, not {count}.")
        mean = self.sum / count
        covariance = (self.outer_sum - count * torch.outer(mean, mean)) / (count - 1)
        return Moments(mean + self.shift, covariance, count)


class FeatureMoments(FeatureSums):
    """The moments of the features seen."""

    def compute(self) -> Moments:
        return self.moments()


class FrechetDistance(FeatureSums):
    """The Fréchet distance of the features seen to a reference, on whose device it lives; lower is better."""

    higher_is_better = False
    is_differentiable = False

    def __init__(self, reference: Moments, **arguments: Any) -> None:
        super().__init__(shift=reference.mean, **arguments)
        self.reference = reference
        self.to(reference.mean.device)

    def compute(self) -> Tensor:
        return frechet_distance(self.reference, self.moments())


SIZES = 15  # points of the extrapolation, as in Chong & Forsyth 2020, section 5
FIRST = 2.5  # samples for each dimension at the smallest size: there the bias begins to fall as 1/n


def by_samples(reference: Moments, features: Tensor, order: Tensor) -> list[tuple[int, float]]:
    """(n, Fréchet distance of the first n features in `order`) for 15 sizes up to all, from a tenth of them or 2.5 for
    each dimension, whichever is more.

    Each size adds features to the ones before, so that none counts twice.
    """
    total = len(features)
    first = max(total / 10, FIRST * features.shape[1])
    sizes = [round(first + (total - first) * step / (SIZES - 1)) for step in range(SIZES)]
    metric = FrechetDistance(reference, sync_on_compute=False)
    found, seen = [], 0
    for size in sorted(set(sizes)):
        metric.update(features[order[seen:size]])
        found.append((size, metric.compute().item()))
        seen = size
    return found


def at_infinity(distances: list[tuple[int, float]]) -> float:
    """Limit at endless samples of a straight line in 1/n through the distances (Chong & Forsyth 2020, eq. 4).

    It takes away the bias of the samples' number, not that of the reference's.
    """
    inverse, values = np.array([(1 / count, distance) for count, distance in distances]).T
    _, intercept = np.polyfit(inverse, values, 1)
    return float(intercept)
