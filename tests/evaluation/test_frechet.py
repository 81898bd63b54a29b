"""The Fréchet distance against closed forms, torchmetrics and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from genlib.evaluation.frechet import FeatureMoments, FrechetDistance, Moments, frechet_distance


def gaussian(mean: Tensor, covariance: Tensor) -> Moments:
    return Moments(mean.double(), covariance.double(), 100)


def moments_of(features: Tensor) -> Moments:
    metric = FeatureMoments(torch.zeros(features.shape[1]))
    metric.update(features)
    return metric.compute()


def test_shifted_unit_gaussians_are_their_squared_shift_apart() -> None:
    mean = torch.arange(5.0)
    distance = frechet_distance(gaussian(torch.zeros(5), torch.eye(5)), gaussian(mean, torch.eye(5)))
    assert distance.item() == pytest.approx(30, rel=1e-12)


def test_scaled_gaussians_are_the_squared_difference_of_their_scales_apart() -> None:
    distance = frechet_distance(gaussian(torch.zeros(7), 4 * torch.eye(7)), gaussian(torch.zeros(7), 9 * torch.eye(7)))
    assert distance.item() == pytest.approx(7, rel=1e-12)


def test_two_samples_of_one_gaussian_are_as_far_apart_as_their_sizes_say() -> None:
    d, count = 16, 2000
    generator = torch.Generator().manual_seed(0)
    distances = [
        frechet_distance(*(moments_of(torch.randn(count, d, generator=generator)) for _ in range(2))) for _ in range(10)
    ]
    expected = 2 * d / count + d * (d + 1) / (2 * count)
    assert torch.stack(distances).mean().item() == pytest.approx(expected, rel=0.1)


def test_rank_deficient_covariances_give_the_distance_within_their_span() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(20, 3, generator=generator, dtype=torch.float64)).Q
    first, second = (
        basis @ torch.diag(torch.tensor(v).double()) @ basis.T for v in ([1.0, 4.0, 9.0], [4.0, 9.0, 25.0])
    )
    zero = torch.zeros(20)
    distance = frechet_distance(gaussian(zero, first), gaussian(zero, second))
    assert distance.item() == pytest.approx((1 - 2) ** 2 + (2 - 3) ** 2 + (3 - 5) ** 2, rel=1e-8)


def test_a_covariance_of_zero_leaves_the_mean_and_the_other_trace() -> None:
    point, other = gaussian(torch.ones(4), torch.zeros(4, 4)), gaussian(torch.zeros(4), torch.eye(4))
    assert frechet_distance(point, other).item() == pytest.approx(8)
    assert frechet_distance(other, point).item() == pytest.approx(8)
    assert frechet_distance(point, point).item() == 0


def test_moments_are_those_of_numpy_in_any_number_of_updates() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) + 3
    metric = FeatureMoments(torch.full((6,), 2.5))
    for part in features.split(7):
        metric.update(part)
    moments = metric.compute()
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, features.double().numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(features.double().numpy().T), rtol=1e-10)


def test_a_large_common_offset_does_not_spoil_the_covariance() -> None:
    features = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    metric = FeatureMoments(torch.full((4,), 1e7))
    metric.update(features + 1e7)
    np.testing.assert_allclose(metric.compute().covariance, np.cov(features.numpy().T), rtol=1e-6)


class MeanRows(nn.Module):
    """uint8 (N, 3, H, W) => float64 (N, H): rows of the first channel."""

    num_features = 8

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].double().mean(2) / 16


def test_the_distance_agrees_with_torchmetrics_on_shared_features() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 200, (400, 3, 8, 8), dtype=torch.uint8, generator=generator)
    fake = torch.randint(50, 256, (300, 3, 8, 8), dtype=torch.uint8, generator=generator)
    theirs = FrechetInceptionDistance(feature=MeanRows())
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = FrechetDistance(moments_of(MeanRows()(real)))
    for part in MeanRows()(fake).split(64):
        ours.update(part)
    assert ours.compute().item() == pytest.approx(theirs.compute().item(), rel=1e-6)


def test_reset_forgets_the_features_but_not_the_reference() -> None:
    generator = torch.Generator().manual_seed(0)
    reference, features = (torch.randn(100, 3, generator=generator) for _ in range(2))
    metric = FrechetDistance(moments_of(reference))
    metric.update(features)
    first = metric.compute()
    metric.reset()
    metric.update(features)
    assert metric.compute() == first
