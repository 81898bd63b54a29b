"""The Fréchet distance against closed forms, torchmetrics and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from genlib.evaluation.preflight import null_bias
from genlib.evaluation.statistics.frechet import (
    FeatureMoments,
    FrechetDistance,
    Moments,
    at_infinity,
    by_samples,
    frechet_distance,
)


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


def test_a_singular_covariance_beside_a_regular_one_adds_no_rounding() -> None:
    """With common axes the distance is that of the standard deviations along each."""
    d, rank = 200, 20
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    wide, flat = torch.linspace(1, 3, d).double(), torch.zeros(d).double()
    flat[:rank] = torch.linspace(1, 2, rank).double()
    first, second = (gaussian(torch.zeros(d), (basis * std.square()) @ basis.T) for std in (wide, flat))
    expected = (wide - flat).square().sum().item()
    for ours in (frechet_distance(first, second), frechet_distance(second, first)):
        assert ours.item() == pytest.approx(expected, rel=1e-8)


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


def cloud(seed: int, count: int = 300, d: int = 6, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return scale * torch.randn(count, d, generator=generator, dtype=torch.float64) @ mixing + mixing[0]


def test_the_distance_does_not_change_when_both_sets_are_turned_moved_or_swapped() -> None:
    first, second = cloud(0), cloud(1)
    expected = frechet_distance(moments_of(first), moments_of(second)).item()
    rotation = torch.linalg.qr(cloud(2, 6)).Q
    turned = frechet_distance(moments_of(first @ rotation + 5), moments_of(second @ rotation + 5)).item()
    assert turned == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(moments_of(second), moments_of(first)).item() == pytest.approx(expected, rel=1e-10)


def test_scaling_both_sets_by_c_scales_the_distance_by_its_square() -> None:
    first, second = cloud(0), cloud(1)
    expected = 9 * frechet_distance(moments_of(first), moments_of(second)).item()
    assert frechet_distance(moments_of(3 * first), moments_of(3 * second)).item() == pytest.approx(expected, rel=1e-10)


def test_fewer_samples_than_dimensions_still_give_the_distance_of_their_gaussians() -> None:
    """Against the square root of scipy's eigenvectors, in the span of the samples."""
    first, second = cloud(0, 20, 40), cloud(1, 25, 40)
    ours = frechet_distance(moments_of(first), moments_of(second)).item()
    one, other = np.cov(first.T), np.cov(second.T)
    values, vectors = np.linalg.eigh(one)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    trace = np.sqrt(np.clip(np.linalg.eigvalsh(root.T @ other @ root), 0, None)).sum()
    expected = (first.mean(0) - second.mean(0)).square().sum().item() + np.trace(one) + np.trace(other) - 2 * trace
    assert ours == pytest.approx(expected, rel=1e-8)


def test_a_line_in_one_over_n_is_followed_to_its_end() -> None:
    assert at_infinity([(count, 3.0 + 50 / count) for count in (100, 250, 400, 1000)]) == pytest.approx(3.0)


def test_the_extrapolated_distance_is_freed_from_the_bias_of_few_samples() -> None:
    d, count, repetitions = 16, 2000, 10
    reference = gaussian(torch.zeros(d), torch.eye(d))
    plain, extrapolated = 0.0, 0.0
    for seed in range(repetitions):
        samples = torch.randn(count, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        distances = by_samples(reference, samples, torch.arange(count))
        assert len(distances) == 15 and (distances[0][0], distances[-1][0]) == (200, 2000)
        assert distances[-1][1] == pytest.approx(frechet_distance(reference, moments_of(samples)).item(), rel=1e-9)
        plain += distances[-1][1] / repetitions
        extrapolated += at_infinity(distances) / repetitions
    assert plain == pytest.approx(null_bias(count, d) * d, rel=0.15)
    assert abs(extrapolated) < plain / 10


@pytest.mark.parametrize("count", [2, 10, 32, 64, 200])
def test_the_bias_of_few_samples_is_foretold(count: int) -> None:
    d, repetitions = 64, 10
    reference = gaussian(torch.zeros(d), torch.eye(d))
    generator = torch.Generator().manual_seed(0)
    sets = (torch.randn(count, d, generator=generator) for _ in range(repetitions))
    mean = sum(frechet_distance(reference, moments_of(samples)).item() for samples in sets) / repetitions
    assert null_bias(count, d) * d == pytest.approx(mean, rel=0.05)


def test_the_smallest_size_of_the_extrapolation_is_beyond_the_dimensions() -> None:
    reference = gaussian(torch.zeros(16), torch.eye(16))
    assert by_samples(reference, torch.randn(160, 16), torch.arange(160))[0][0] == 40
