"""The kernel distance: an unbiased estimate of the squared maximum mean discrepancy (Bińkowski et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.evaluation.measures import Estimate
from genlib.evaluation.neighbours import BLOCK_ELEMENTS


def kernel_distance(first: Tensor, second: Tensor) -> Estimate:
    """MMD^2 of features (N, d) and (M, d) under k(a, b) = (a'b / d + 1)^3 (Bińkowski et al. 2018, section 4).

    The U-statistic over all pairs (Gretton et al. 2012, eq. 3): unbiased, so it may be below 0. The standard error is
    the two-sample jackknife's, which leaves out one feature at a time; nothing is drawn. ValueError for fewer than
    three features in either set.
    """
    n, m = len(first), len(second)
    if min(n, m) < 3:
        raise ValueError(f"a kernel distance with its error needs three images or more of each kind, not {min(n, m)}.")
    first, second = first.double(), second.double()
    within_first, _ = kernel_sums(first, first)
    within_second, _ = kernel_sums(second, second)
    within_first, within_second = within_first - kernel_diagonal(first), within_second - kernel_diagonal(second)
    of_first, of_second = kernel_sums(first, second)
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


def kernel_sums(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of the kernel matrix along its rows, (N,), and along its columns, (M,), in blocks of rows."""
    of_rows, of_columns = [], torch.zeros(len(columns), dtype=rows.dtype, device=rows.device)
    for block in rows.split(max(1, BLOCK_ELEMENTS // len(columns))):
        kernel = (block @ columns.T).div_(rows.shape[1]).add_(1).pow_(3)
        of_rows.append(kernel.sum(1))
        of_columns += kernel.sum(0)
    return torch.cat(of_rows), of_columns


def kernel_diagonal(features: Tensor) -> Tensor:
    return (features.square().sum(1) / features.shape[1] + 1) ** 3
