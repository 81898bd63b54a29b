"""Precision, recall, density and coverage from distances to the k-th nearest neighbour, in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_ELEMENTS = 8_000_000  # distances held at a time: 64 MB in float64


def neighbour_metrics(reals: Tensor, fakes: Tensor, k: int) -> dict[str, float]:
    """Of features (N, d) and (M, d): precision and recall (Kynkäänniemi et al. 2019, eq. 1-3), and density and
    coverage (Naeem et al. 2020, eq. 5-6). All lie in [0, 1] but density, which may exceed 1.

    A ball reaches from its centre to the centre's k-th nearest neighbour in its own set, border included.
    ValueError unless both sets have more than k members.
    """
    if k >= min(len(reals), len(fakes)):
        raise ValueError(f"k ({k}) must be below the number of images ({min(len(reals), len(fakes))}).")
    centre = reals.double().mean(0)
    reals, fakes = reals.double() - centre, fakes.double() - centre
    real_radii, fake_radii = squared_radii(reals, k), squared_radii(fakes, k)
    fake_in_a_real_ball = torch.zeros(len(fakes), dtype=torch.bool, device=fakes.device)
    in_real_balls = reals_covered = reals_recalled = 0
    for rows, distances in squared_distances(reals, fakes):
        inside = distances <= real_radii[rows, None]
        fake_in_a_real_ball |= inside.any(0)
        in_real_balls += int(inside.sum())
        reals_covered += int(inside.any(1).sum())
        reals_recalled += int((distances <= fake_radii).any(1).sum())
    return {
        "precision": fake_in_a_real_ball.sum().item() / len(fakes),
        "recall": reals_recalled / len(reals),
        "density": in_real_balls / (k * len(fakes)),
        "coverage": reals_covered / len(reals),
    }


def squared_radii(features: Tensor, k: int) -> Tensor:
    """The squared distance from each of (N, d) to its k-th nearest neighbour other than itself, (N,)."""
    radii = []
    for rows, distances in squared_distances(features, features):
        within = torch.arange(len(distances), device=features.device)
        distances[within, within + rows.start] = torch.inf
        radii.append(distances.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(radii)


def squared_distances(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the (N, M) squared Euclidean distances, each with the rows that it holds."""
    size = max(1, BLOCK_ELEMENTS // len(columns))
    column_norms = columns.square().sum(1)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        products = torch.addmm(column_norms.expand(len(block), -1), block, columns.T, alpha=-2)
        distances = products.add_(block.square().sum(1, keepdim=True)).clamp_(min=0)
        yield slice(start, start + len(block)), distances
