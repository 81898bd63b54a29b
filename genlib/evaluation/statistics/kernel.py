"""Unbiased estimates of squared maximum mean discrepancies: the kernel distance, the energy distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlib.evaluation.estimates import Estimate
from genlib.evaluation.statistics.neighbours import BLOCK_ELEMENTS


class Kernel(NamedTuple):
    between: Callable[[Tensor, Tensor], Tensor]  # (N, d), (M, d) => (N, M)
    of_itself: Callable[[Tensor], Tensor]  # its diagonal: (N, d) => (N,)


# k(a, b) = (a'b / d + 1)^3 (Bińkowski et al. 2018, section 4).
CUBIC = Kernel(
    lambda a, b: (a @ b.T).div_(a.shape[1]).add_(1).pow_(3),
    lambda a: (a.square().sum(1) / a.shape[1] + 1) ** 3,
)
# k(a, b) = -|a - b|, under which MMD^2 is the energy distance (Sejdinovic et al. 2013).
MINUS_DISTANCE = Kernel(
    lambda a, b: -torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist"),
    lambda a: a.new_zeros(len(a)),
)


def kernel_distance(first: Tensor, second: Tensor) -> Estimate:
    """Squared MMD of features (N, d) and (M, d) under the cubic kernel (Bińkowski et al. 2018)."""
    return discrepancy(first, second, CUBIC)


def energy_distance(first: Tensor, second: Tensor) -> Estimate:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of points (N, d) and (M, d) (Székely & Rizzo 2013)."""
    return discrepancy(first, second, MINUS_DISTANCE)


def discrepancy(first: Tensor, second: Tensor, kernel: Kernel) -> Estimate:
    """MMD^2 of features (N, d) and (M, d), and its standard error; nothing is drawn.

    The value is the U-statistic over all pairs (Gretton et al. 2012, eq. 3): unbiased, so it may be below 0. By
    Hoeffding's decomposition its variance has a part of first order, which vanishes where both distributions are equal,
    and one of second order, from the doubly centred kernel. The two-sample jackknife, which leaves out one feature at a
    time, counts the second twice (Efron & Stein 1981), so that its error would be up to 1.4 times too large near 0: one
    unbiased estimate of that part is subtracted. The variance is never reported below half of that part, which
    equal distributions have alone. ValueError for fewer than four features in either set.
    """
    n, m = len(first), len(second)
    if min(n, m) < 4:
        raise ValueError(f"a kernel distance with its error needs four images or more of each kind, not {min(n, m)}.")
    first, second = first.double(), second.double()
    within_first, squares_first = sums_within(first, kernel)
    within_second, squares_second = sums_within(second, kernel)
    of_first, of_second, squares_between = kernel_sums(first, second, kernel)
    total_first, total_second, between = within_first.sum(), within_second.sum(), of_first.sum()
    value = total_first / (n * (n - 1)) + total_second / (m * (m - 1)) - 2 * between / (n * m)
    without_first = (
        (total_first - 2 * within_first) / ((n - 1) * (n - 2))
        + total_second / (m * (m - 1))
        - 2 * (between - of_first) / ((n - 1) * m)
    )
    without_second = (
        total_first / (n * (n - 1))
        + (total_second - 2 * within_second) / ((m - 1) * (m - 2))
        - 2 * (between - of_second) / (n * (m - 1))
    )
    jackknife = (n - 1) * without_first.var(correction=0) + (m - 1) * without_second.var(correction=0)
    centred_between = (
        squares_between - of_first.square().sum() / m - of_second.square().sum() / n + between.square() / (n * m)
    ) / ((n - 1) * (m - 1))
    second_order = (
        2 * centred_square(within_first, squares_first) / (n * (n - 1))
        + 2 * centred_square(within_second, squares_second) / (m * (m - 1))
        + 4 * centred_between / (n * m)
    )
    variance = torch.maximum(jackknife - second_order, second_order / 2).clamp(min=0)
    return Estimate(value.item(), m, variance.sqrt().item())


def centred_square(sums: Tensor, squares: Tensor) -> Tensor:
    """Mean square of a doubly centred kernel, unbiased (Székely & Rizzo 2014, section 3), from the sums of the kernel
    matrix along its rows, (N,), and of its squares, (), both without its diagonal.
    """
    n = len(sums)
    centred = squares - 2 * sums.square().sum() / (n - 2) + sums.sum().square() / ((n - 1) * (n - 2))
    return centred / (n * (n - 3))


def sums_within(features: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Sums of the kernel matrix along its rows, (N,), and of its squares, (), both without its diagonal."""
    diagonal = kernel.of_itself(features)
    sums, _, squares = kernel_sums(features, features, kernel)
    return sums - diagonal, squares - diagonal.square().sum()


def kernel_sums(rows: Tensor, columns: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of the kernel matrix along its rows, (N,), and along its columns, (M,), and of its squares, (), in blocks of
    rows.
    """
    of_rows, of_columns = [], torch.zeros(len(columns), dtype=rows.dtype, device=rows.device)
    squares = torch.zeros((), dtype=rows.dtype, device=rows.device)
    for block in rows.split(max(1, BLOCK_ELEMENTS // len(columns))):
        values = kernel.between(block, columns)
        of_rows.append(values.sum(1))
        of_columns += values.sum(0)
        squares += values.flatten().dot(values.flatten())
    return torch.cat(of_rows), of_columns, squares
