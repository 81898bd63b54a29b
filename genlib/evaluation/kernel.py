"""Unbiased estimates of squared maximum mean discrepancies: the kernel distance, the energy distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlib.evaluation.measures import Estimate
from genlib.evaluation.neighbours import BLOCK_ELEMENTS


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
    """Of features (N, d) and (M, d), under the cubic kernel (Bińkowski et al. 2018)."""
    return discrepancy(first, second, CUBIC)


def energy_distance(first: Tensor, second: Tensor) -> Estimate:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of points (N, d) and (M, d) (Székely & Rizzo 2013)."""
    return discrepancy(first, second, MINUS_DISTANCE)


def discrepancy(first: Tensor, second: Tensor, kernel: Kernel) -> Estimate:
    """MMD^2 of features (N, d) and (M, d).

    The U-statistic over all pairs (Gretton et al. 2012, eq. 3): unbiased, so it may be below 0. The standard error is
    the two-sample jackknife's, which leaves out one feature at a time; nothing is drawn. ValueError for fewer than
    three features in either set.
    """
    n, m = len(first), len(second)
    if min(n, m) < 3:
        raise ValueError(f"a kernel distance with its error needs three images or more of each kind, not {min(n, m)}.")
    first, second = first.double(), second.double()
    within_first = kernel_sums(first, first, kernel)[0] - kernel.of_itself(first)
    within_second = kernel_sums(second, second, kernel)[0] - kernel.of_itself(second)
    of_first, of_second = kernel_sums(first, second, kernel)
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
    variance = (n - 1) * without_first.var(correction=0) + (m - 1) * without_second.var(correction=0)
    return Estimate(value.item(), m, variance.sqrt().item())


def kernel_sums(rows: Tensor, columns: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """Sums of the kernel matrix along its rows, (N,), and along its columns, (M,), in blocks of rows."""
    of_rows, of_columns = [], torch.zeros(len(columns), dtype=rows.dtype, device=rows.device)
    for block in rows.split(max(1, BLOCK_ELEMENTS // len(columns))):
        values = kernel.between(block, columns)
        of_rows.append(values.sum(1))
        of_columns += values.sum(0)
    return torch.cat(of_rows), of_columns
