"""Point sets in the plane with exact densities: mixtures of Gaussians, noisy curves, a board, wound-up arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.random import RandomState
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from genlib.data.folder import Split
from genlib.data.reading.base import OpenSource, frozen_stream
from genlib.data.reading.splits import choose, held_out_count

if TYPE_CHECKING:
    from genlib.data.config import DataConfig

LogDensity = Callable[[np.ndarray], np.ndarray]  # float64 (N, 2) => (N,)
CHUNK = 1024  # points whose distances to all centres are held at once
PANEL, PANELS = 16, 64  # nodes of a Gauss-Legendre panel, and panels of a curve


@dataclass(frozen=True, eq=False)
class PointSet:
    """A distribution of points within about [-4, 4], with its exact density."""

    draw: Callable[[int, RandomState], tuple[np.ndarray, np.ndarray | None]]  # N => float32 (N, 2), int64 (N,)
    log_density: LogDensity
    label_names: list[str] | None = None
    centres: np.ndarray | None = None  # (K, 2), of a mixture of equal Gaussians
    std: float | None = None  # of each Gaussian


def log_mixture(points: np.ndarray, centres: np.ndarray, weights: np.ndarray, std: float) -> np.ndarray:
    """log sum_k w_k N(x; c_k, std^2 I), for points (N, 2), centres (K, 2) and weights (K,) that add up to 1; (N,)"""
    log_weights = np.log(weights) - np.log(2 * np.pi * std**2)
    parts = [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]
    each = [logsumexp(log_weights - cdist(part, centres, "sqeuclidean") / (2 * std**2), axis=1) for part in parts]
    return np.concatenate([np.empty(0), *each])


def gaussians(centres: np.ndarray, std: float) -> PointSet:
    """A mixture of equal Gaussians; the label is the component."""

    def draw(count: int, stream: RandomState) -> tuple[np.ndarray, np.ndarray]:
        labels = stream.randint(0, len(centres), count, dtype=np.int64)
        return (centres[labels] + std * stream.standard_normal((count, 2))).astype(np.float32), labels

    weights = np.full(len(centres), 1 / len(centres))
    return PointSet(
        draw, lambda points: log_mixture(points, centres, weights, std), numbers(len(centres)), centres, std
    )


def noisy_curves(curves: list[Callable[[np.ndarray], np.ndarray]], start: float, stop: float, std: float) -> PointSet:
    """Curves t => (N, 2), t uniform between `start` and `stop`, with Gaussian noise; the label is the curve.

    The density is the curves' mean of N(x; c(t), std^2 I) over t. Gauss-Legendre nodes closer to each other than the
    noise is wide make of it a mixture of Gaussians that equals it in double precision.
    """
    edges = np.linspace(start, stop, PANELS + 1)
    nodes, node_weights = leggauss(PANEL)
    times = ((edges[1:, None] + edges[:-1, None]) / 2 + (edges[1] - edges[0]) / 2 * nodes).ravel()
    centres = np.concatenate([curve(times) for curve in curves])
    weights = np.tile(node_weights / 2, PANELS * len(curves)) / (PANELS * len(curves))

    def draw(count: int, stream: RandomState) -> tuple[np.ndarray, np.ndarray | None]:
        labels = stream.randint(0, len(curves), count, dtype=np.int64)
        on_each = np.stack([curve(stream.uniform(start, stop, count)) for curve in curves])
        points = on_each[labels, np.arange(count)] + std * stream.standard_normal((count, 2))
        return points.astype(np.float32), labels if len(curves) > 1 else None

    names = numbers(len(curves)) if len(curves) > 1 else None
    return PointSet(draw, lambda points: log_mixture(points, centres, weights, std), names)


def checkerboard() -> PointSet:
    """Uniform on the 8 black squares of a board of 4 x 4, of side 2; the label is the square, counted row by row."""
    row, column = np.divmod(np.arange(8), 2)
    centres = np.stack([2 * (2 * column + row % 2), 2 * row], axis=1) - 3.0

    def draw(count: int, stream: RandomState) -> tuple[np.ndarray, np.ndarray]:
        labels = stream.randint(0, 8, count, dtype=np.int64)
        return (centres[labels] + stream.uniform(-1, 1, (count, 2))).astype(np.float32), labels

    def log_density(points: np.ndarray) -> np.ndarray:
        inside = cdist(points, centres, "chebyshev").min(1) <= 1
        return np.where(inside, -np.log(8 * 4.0), -np.inf)

    return PointSet(draw, log_density, numbers(8))


def pinwheel(arms: int = 5, radial: float = 0.6, tangential: float = 0.15, distance: float = 2.0) -> PointSet:
    """Gaussian arms, wound up (after Johnson et al. 2016); the label is the arm.

    An arm is N((distance, 0), diag(radial^2, tangential^2)), turned to its place, and each point turned further by half
    its radius. In polar coordinates that is a shear, which keeps areas: the density is that of the point turned back.
    """

    def turns(radius: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return labels * (2 * np.pi / arms) + radius / 2

    def turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
        x, y = points[:, 0], points[:, 1]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)

    def draw(count: int, stream: RandomState) -> tuple[np.ndarray, np.ndarray]:
        labels = stream.randint(0, arms, count, dtype=np.int64)
        straight = stream.standard_normal((count, 2)) * [radial, tangential] + [distance, 0.0]
        angles = turns(np.hypot(*straight.T), labels)
        return turned(straight, angles).astype(np.float32), labels

    def log_density(points: np.ndarray) -> np.ndarray:
        radius = np.hypot(*points.T)
        back = np.stack([turned(points, -turns(radius, np.array(arm))) for arm in range(arms)])  # (arms, N, 2)
        squares = (((back - [distance, 0.0]) / [radial, tangential]) ** 2).sum(2)
        return logsumexp(-squares / 2, axis=0) - np.log(2 * np.pi * radial * tangential * arms)

    return PointSet(draw, log_density, numbers(arms))


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def circle(angles: np.ndarray) -> np.ndarray:
    """(N,) => (N, 2)"""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


class Points(NamedTuple):
    """The points of one split."""

    points: np.ndarray  # float32 (N, 2)
    labels: np.ndarray | None  # int64 (N,)


class PointSource(OpenSource):
    """A point set whose draws never change: the same settings give the same points. A shorter split is not the first
    part of a longer one.
    """

    def __init__(self, name: str, version: int, point_set: PointSet) -> None:
        self.name, self.point_set = name, point_set
        self.identity = {"points": name, "version": str(version)}

    def draw(self, config: DataConfig) -> tuple[Points, Points]:
        """The train and the test points that `config` asks for."""
        splits: dict[str, tuple[Split, int]] = {
            "train": ("train", config.points),
            "test": ("test", max(10, config.points // 5)),
        }
        train, test = choose(splits, config)
        if test:
            return self._drawn(*train), self._drawn(*test)
        points, labels = self._drawn(*train)
        count = len(points) - held_out_count(len(points), config.test_fraction)  # the order is random already
        cut = (slice(count), slice(count, None))
        first, last = (Points(points[part], None if labels is None else labels[part]) for part in cut)
        return first, last

    def _drawn(self, split: Split, count: int) -> Points:
        return Points(*self.point_set.draw(count, frozen_stream(f"{self.name} {split}")))
