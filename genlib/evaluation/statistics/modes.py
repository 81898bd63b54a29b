"""Modes of the data that samples reach, and how often: classes of images, components of 2-D mixtures."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genlib.evaluation.estimates import Estimate, over_images


class ModeCoverage(NamedTuple):
    modes: int  # that at least one sample falls into
    kl: float  # KL(samples || data) over the modes, in nats
    shares: Tensor  # of the samples in each mode, float64 (K,)


def mode_coverage(assigned: Tensor, data_shares: Tensor) -> ModeCoverage:
    """Modes that samples reach, from the mode of each sample, int64 (N,), and the data's share of each mode, (K,).

    As Stacked MNIST is counted (Metz et al. 2017, section 3.3; Lin et al. 2018, section 4.2). The divergence is
    KL(samples || data) of the counted shares, which are not smoothed: a mode without samples adds 0, and one with
    samples but without data makes it infinite. Samples of the data itself have about (K - 1) / (2 N) nats. ValueError
    without samples.
    """
    if len(assigned) == 0:
        raise ValueError("modes are counted over one sample or more.")
    data_shares = data_shares.double()
    counts = torch.bincount(assigned, minlength=len(data_shares)).double()
    shares = counts / counts.sum()
    kl = torch.special.xlogy(shares, shares) - torch.special.xlogy(shares, data_shares)
    return ModeCoverage(int((counts > 0).sum()), kl.sum().item(), shares)


def label_accuracy(classes: Tensor, labels: Tensor) -> Estimate:
    """Share of the images whose class, (N,), is their label, of those whose label is known (not -1)."""
    return over_images((classes == labels)[labels >= 0].double())


class MixtureCoverage(NamedTuple):
    high_quality_share: float
    modes: int  # that at least one sample of high quality falls into
    reverse_kl: float  # KL(samples || mixture) over the modes, in nats, each sample at its nearest mode
    reverse_kl_high_quality: float  # the same of the samples of high quality alone


def mixture_coverage(points: Tensor, centres: Tensor, std: float, shares: Tensor | None = None) -> MixtureCoverage:
    """Coverage by samples (N, 2) of a mixture of K Gaussians with these centres, (K, 2), and standard deviation.

    A sample is of high quality within three standard deviations of its nearest centre, and a mode is reached by one
    such sample (Srivastava et al. 2017, section 4). The reverse divergence counts every sample at its nearest mode, of
    high quality or not (Lin et al. 2018, section 4.1). `shares` (K,) are the components' weights, equal by default.
    Without any sample of high quality the divergence of these alone is infinite. ValueError for points that are not
    finite, and without points.
    """
    if not torch.isfinite(points).all():
        raise ValueError(f"{int((~torch.isfinite(points)).any(1).sum())} of {len(points)} points are not finite.")
    shares = torch.full((len(centres),), 1 / len(centres)) if shares is None else shares
    distances, components = torch.cdist(points.double(), centres.double()).min(1)
    good = distances <= 3 * std
    of_all = mode_coverage(components, shares)
    if not good.any():
        return MixtureCoverage(0.0, 0, of_all.kl, torch.inf)
    of_good = mode_coverage(components[good], shares)
    return MixtureCoverage(good.double().mean().item(), of_good.modes, of_all.kl, of_good.kl)
