"""Which of the data's modes a model reaches, and how often: classes of images, components of 2-D mixtures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ModeCoverage(NamedTuple):
    modes: int  # that at least one sample falls into
    kl: float  # KL(samples || data) over the modes, in nats
    shares: Tensor  # of the samples in each mode, float64 (K,)


def mode_coverage(assigned: Tensor, data_shares: Tensor) -> ModeCoverage:
    """Of the mode of each sample, int64 (N,), and the data's share of each mode, (K,).

    As Stacked MNIST is counted (Metz et al. 2017, section 3.3; Lin et al. 2018, section 4.2). The divergence is
    infinite if samples fall into a mode that the data do not have. ValueError without samples.
    """
    if len(assigned) == 0:
        raise ValueError("modes are counted over one sample or more.")
    data_shares = data_shares.double()
    counts = torch.bincount(assigned, minlength=len(data_shares)).double()
    shares = counts / counts.sum()
    kl = torch.special.xlogy(shares, shares) - torch.special.xlogy(shares, data_shares)
    return ModeCoverage(int((counts > 0).sum()), kl.sum().item(), shares)


class MixtureCoverage(NamedTuple):
    high_quality_share: float
    modes: int
    reverse_kl: float


def mixture_coverage(points: Tensor, centres: Tensor, std: float, shares: Tensor | None = None) -> MixtureCoverage:
    """Of samples (N, 2) against a mixture of K Gaussians with these centres, (K, 2), and standard deviation.

    A sample is of high quality within three standard deviations of its nearest centre; a mode is reached by one such
    sample; the reverse divergence, KL(samples || mixture), is over the modes of these samples (Srivastava et al. 2017,
    section 4; Lin et al. 2018, section 4.1). `shares` (K,) are the components' weights, equal by default. Without any
    sample of high quality the divergence is infinite. ValueError for points that are not finite.
    """
    if not torch.isfinite(points).all():
        raise ValueError(f"{int((~torch.isfinite(points)).any(1).sum())} of {len(points)} points are not finite.")
    shares = torch.full((len(centres),), 1 / len(centres)) if shares is None else shares
    distances, components = torch.cdist(points.double(), centres.double()).min(1)
    good = distances <= 3 * std
    if not good.any():
        return MixtureCoverage(0.0, 0, torch.inf)
    covered = mode_coverage(components[good], shares)
    return MixtureCoverage(good.double().mean().item(), covered.modes, covered.kl)
