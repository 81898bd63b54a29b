"""Nearest neighbours among features, in blocks of rows: precision to coverage, copies of training images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

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
    reals, fakes = centred(reals, fakes)
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


class Nearest(NamedTuple):
    """Of N points among others: the squared distances, (N, k), ascending, and the rows, (N, k)."""

    distances: Tensor
    rows: Tensor


def nearest(points: Tensor, others: Tensor, k: int = 1, leave_out: Tensor | None = None) -> Nearest:
    """The k nearest of `others` (M, d) to each of `points` (N, d); `leave_out` (N,) is a row that a point may not have,
    such as itself.
    """
    distances, rows = [], []
    for block, found in squared_distances(points, others):
        if leave_out is not None:
            found.scatter_(1, leave_out[block, None], torch.inf)
        best = found.topk(k, dim=1, largest=False)
        distances.append(best.values)
        rows.append(best.indices)
    return Nearest(torch.cat(distances), torch.cat(rows))


def squared_radii(features: Tensor, k: int) -> Tensor:
    """The squared distance from each of (N, d) to its k-th nearest neighbour other than itself, (N,)."""
    itself = torch.arange(len(features), device=features.device)
    return nearest(features, features, k, itself).distances[:, -1]


def authpct(reals: Tensor, fakes: Tensor) -> float:
    """Percentage of fakes (M, d) that are no copies of training images (N, d) (Alaa et al. 2022, section 4.3; the name
    is Stein et al.'s, 2023).

    A fake counts as a copy if it is nearer to its nearest real than that one is to its own nearest real.
    """
    reals, fakes = centred(reals, fakes)
    found = nearest(fakes, reals)
    chosen, position = found.rows[:, 0].unique(return_inverse=True)
    radii = nearest(reals[chosen], reals, leave_out=chosen).distances[:, 0]
    return 100 * (found.distances[:, 0] >= radii[position]).double().mean().item()


def memorization(train: Tensor, held_out: Tensor, fakes: Tensor, fakes_are_held_out: bool = False) -> dict[str, float]:
    """How near fakes (M, d) are to training images (N, d), and to held-out ones (K, d).

    The mean distances to the nearest of each, all of them counting; and the share of fakes that are nearer to one of as
    many training images as there are held-out ones, ties counting half: 0.5 for a model that copies nothing (Meehan et
    al. 2020, section 3). `fakes_are_held_out`: fake i is held-out image i, which is left out.
    """
    train, held_out, fakes = centred(train, held_out, fakes)
    itself = torch.arange(len(fakes), device=fakes.device) if fakes_are_held_out else None
    to_train = nearest(fakes, train).distances[:, 0]
    to_held_out = nearest(fakes, held_out, leave_out=itself).distances[:, 0]
    as_many = min(len(train), len(held_out))
    to_few = nearest(fakes, train[:as_many]).distances[:, 0]
    to_others = to_held_out
    if as_many < len(held_out):
        to_others = nearest(fakes, held_out[:as_many], leave_out=itself).distances[:, 0]
    nearer = (to_few < to_others).double() + 0.5 * (to_few == to_others).double()
    return {
        "nn_distance_train": to_train.sqrt().mean().item(),
        "nn_distance_held_out": to_held_out.sqrt().mean().item(),
        "nearer_to_train": nearer.mean().item(),
    }


def centred(*sets: Tensor) -> list[Tensor]:
    """Float64 copies, moved so that the first set's mean is 0: small numbers lose less to rounding."""
    centre = sets[0].mean(0, dtype=torch.float64)
    return [features.to(torch.float64, copy=True).sub_(centre) for features in sets]


def squared_norms(features: Tensor) -> Tensor:
    """(N, d) => (N,), without a copy of the features."""
    return torch.einsum("nd,nd->n", features, features)


def squared_distances(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of the (N, M) squared Euclidean distances, each with the rows that it holds."""
    size = max(1, BLOCK_ELEMENTS // len(columns))
    column_norms = squared_norms(columns)
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        products = torch.addmm(column_norms.expand(len(block), -1), block, columns.T, alpha=-2)
        distances = products.add_(squared_norms(block)[:, None]).clamp_(min=0)
        yield slice(start, start + len(block)), distances
