"""Nearest neighbours among features, in blocks of rows: precision to coverage, copies of training images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_ELEMENTS = 8_000_000  # distances held at a time: 64 MB in float64
MANY = 4096  # others among which candidates are worth looking for
SPARE = 7  # candidates beyond those that are wanted


def neighbour_metrics(reals: Tensor, fakes: Tensor, k: int, real_radii: Tensor | None = None) -> dict[str, float]:
    """Precision and recall (Kynkäänniemi et al. 2019, eq. 1-3), and density and coverage (Naeem et al. 2020, eq. 5-6),
    of features (N, d) and (M, d). All lie in [0, 1] but density, which may exceed 1.

    A ball reaches from its centre to the centre's k-th nearest neighbour in its own set, border included; those of the
    reals need not be computed again where `real_radii` has their squares, (N,).
    ValueError unless both sets have more than k members.
    """
    if k >= min(len(reals), len(fakes)):
        raise ValueError(f"k ({k}) must be below the number of images ({min(len(reals), len(fakes))}).")
    reals, fakes = centred(reals, fakes)
    real_radii = squared_radii(reals, k) if real_radii is None else real_radii
    fake_radii = squared_radii(fakes, k)
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
    """The nearest others of N points: the squared distances, (N, k), ascending, and the rows, (N, k)."""

    distances: Tensor
    rows: Tensor


def nearest(points: Tensor, others: Tensor, k: int = 1, leave_out: Tensor | None = None) -> Nearest:
    """The k nearest of `others` (M, d) to each of `points` (N, d); `leave_out` (N,) is a row that a point may not have,
    such as itself.

    Among many others candidates are found in float32, which takes half the time on CPUs and a small part of it on most
    GPUs, and measured in float64. Where the bound of float32's rounding does not exclude that another is nearer, all
    are measured: so the outcome is that of float64.
    """
    if len(others) < MANY + k:
        return nearest_by_all(points, others, k, leave_out)
    roughly, norms, farthest = others.float(), points.norm(dim=1), others.norm(dim=1).max()
    distances, rows = [], []
    for block, found in squared_distances(points.float(), roughly):
        leave_out_of(found, leave_out, block)
        candidates = found.topk(k + SPARE, dim=1, largest=False)
        exactly = (points[block, None] - others[candidates.indices]).square_().sum(2)
        best = exactly.topk(k, dim=1, largest=False)
        # |fl(|x|^2 + |y|^2 - 2xy) - |x - y|^2| <= (d + 8) u (|x| + |y|)^2 (Higham 2002, section 3.1; u = 2^-24).
        rounding = (points.shape[1] + 8) * 2.0**-24 * (norms[block] + farthest).square()
        distances.append(best.values)
        rows.append(candidates.indices.gather(1, best.indices))
        unsure = ~(candidates.values[:, -1] - rounding > best.values[:, -1])  # so too where something is not finite
        if unsure.any():
            which = unsure.nonzero()[:, 0]
            left = None if leave_out is None else leave_out[block][which]
            again = nearest_by_all(points[block][which], others, k, left)
            distances[-1][which], rows[-1][which] = again.distances, again.rows
    return Nearest(torch.cat(distances), torch.cat(rows))


def nearest_by_all(points: Tensor, others: Tensor, k: int, leave_out: Tensor | None) -> Nearest:
    distances, rows = [], []
    for block, found in squared_distances(points, others):
        leave_out_of(found, leave_out, block)
        best = found.topk(k, dim=1, largest=False)
        distances.append(best.values)
        rows.append(best.indices)
    return Nearest(torch.cat(distances), torch.cat(rows))


def leave_out_of(distances: Tensor, leave_out: Tensor | None, block: slice) -> None:
    if leave_out is not None:
        distances.scatter_(1, leave_out[block, None], torch.inf)


def squared_radii(features: Tensor, k: int) -> Tensor:
    """The squared distance from each of (N, d) to its k-th nearest neighbour other than itself, (N,)."""
    itself = torch.arange(len(features), device=features.device)
    return nearest(features, features, k, itself).distances[:, -1]


def copies(train: Tensor, held_out: Tensor, fakes: Tensor, fakes_are_held_out: bool = False) -> dict[str, float]:
    """Nearness of fakes (M, d) to training images (N, d), and to held-out ones (K, d).

    `authpct` is the percentage of fakes that are authentic, i.e. no copies of training images (Alaa et al. 2022,
    section 4.3; the name is Stein et al.'s, 2023): a fake is authentic where it is farther from its nearest training
    image than this one is from the nearest of the others. As in dgm-eval a tie is a copy. Unlike there, training images
    of equal features (see `distance_of_equals`) count as one: otherwise an image that occurs twice would have its
    neighbour at distance 0, and no near copy of it would ever be found.

    Then the mean distances to the nearest of each kind, among all that are given; and the share of fakes that are
    nearer to one of as many training images as there are held-out ones, ties counting half: 0.5 for a model that copies
    nothing (Meehan et al. 2020, section 3). `fakes_are_held_out`: fake i is held-out image i, which is left out.
    """
    train, held_out, fakes = centred(train, held_out, fakes)
    itself = torch.arange(len(fakes), device=fakes.device) if fakes_are_held_out else None
    as_many = min(len(train), len(held_out))
    few, rest = train[:as_many], train[as_many:]
    to_train = to_few = nearest(fakes, few)
    if len(rest):
        to_rest = nearest(fakes, rest)
        is_rest = to_rest.distances < to_few.distances
        distances = torch.where(is_rest, to_rest.distances, to_few.distances)
        to_train = Nearest(distances, torch.where(is_rest, to_rest.rows + as_many, to_few.rows))
    to_held_out = to_others = nearest(fakes, held_out, leave_out=itself).distances[:, 0]
    if as_many < len(held_out):
        to_others = nearest(fakes, held_out[:as_many], leave_out=itself).distances[:, 0]
    closest = to_few.distances[:, 0]
    nearer = (closest < to_others).double() + 0.5 * (closest == to_others).double()
    nearest_train = to_train.distances[:, 0]
    rows, of_fakes = to_train.rows[:, 0].unique(return_inverse=True)
    radii = radii_of_distinct(train, rows)[of_fakes]
    return {
        "authpct": 100 * (nearest_train > radii).double().mean().item(),
        "nn_distance_train": nearest_train.sqrt().mean().item(),
        "nn_distance_held_out": to_held_out.sqrt().mean().item(),
        "nearer_to_train": nearer.mean().item(),
    }


def radii_of_distinct(features: Tensor, rows: Tensor) -> Tensor:
    """Squared distances from the features (N, d) in `rows` (R,) to the nearest other one that is not equal, (R,);
    infinite where all are equal.
    """
    equal = distance_of_equals(features)
    radii = nearest(features[rows], features, leave_out=rows).distances[:, 0]
    repeated = (radii <= equal).nonzero()[:, 0]
    for block, distances in squared_distances(features[rows[repeated]], features):
        radii[repeated[block]] = distances.masked_fill_(distances <= equal, torch.inf).amin(1)
    return radii


def distance_of_equals(features: Tensor) -> float:
    """The squared distance up to which centred features (N, d) count as equal: (1e-5)^2 times their mean squared norm.

    The same image has features that differ in float32's rounding, by about 1e-7 of their size, from batch to batch.
    """
    return 1e-10 * squared_norms(features).mean().item()


def radii_among(features: Tensor, k: int) -> Tensor:
    """The squared distance from each of (N, d) to its k-th nearest neighbour other than itself, float64 (N,)."""
    return squared_radii(centred(features)[0], k)


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
