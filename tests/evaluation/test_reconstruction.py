"""Similarity of pairs, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.statistics.reconstruction import (
    reconstructed,
    reconstruction_metrics,
    reconstructions_of,
    similarity,
)
from genlib.models.base import Batch
from genlib.pixels.scale import to_uint8, to_unit
from tests.evaluation.linear_gaussian import LinearGaussian, held_out

IMAGES = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pictures(size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8, generator=generator)


def slow_ssim(first: np.ndarray, second: np.ndarray, window: int) -> float:
    """Wang et al. 2004, equation 13 and section 3.3, window by window, of two images (C, H, W)."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for x, y in zip(first.astype(float), second.astype(float), strict=True):
        for top in range(x.shape[0] - window + 1):
            for left in range(x.shape[1] - window + 1):
                a, b = (part[top : top + window, left : left + window] for part in (x, y))
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
                covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
                above = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
                found.append(above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return float(np.mean(found))


def noisy_pair(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark images with a bright spot, and these with noise, uint8 (2, 3, height, width)."""
    generator = np.random.RandomState(0)
    rows, columns = np.mgrid[:height, :width]
    spot = 220 * np.exp(-((rows - height / 3) ** 2 + (columns - width / 2) ** 2) / (2 * (height / 5) ** 2))
    first = np.broadcast_to(spot, (2, 3, height, width))
    second = first + 12 * generator.randn(2, 3, height, width)
    return tuple(torch.from_numpy(np.clip(np.round(part), 0, 255).astype(np.uint8)) for part in (first, second))


@pytest.mark.parametrize(
    ("height", "width", "window"), [(8, 8, 7), (9, 12, 9), (11, 11, 11), (12, 20, 11), (32, 32, 11)]
)
def test_the_structural_similarity_is_the_papers_over_windows_inside_the_image(
    height: int, width: int, window: int
) -> None:
    """Images smaller than 11 pixels are seen through the largest odd window that fits."""
    first, second = noisy_pair(height, width)
    _, ssim = similarity(first, second)
    expected = [slow_ssim(a, b, window) for a, b in zip(first.numpy(), second.numpy(), strict=True)]
    assert ssim.dtype == torch.float64 and ssim.tolist() == pytest.approx(expected, rel=1e-9)
    assert 0.05 < ssim[0] < 0.99


def test_the_structural_similarity_is_that_of_a_cropped_gaussian_filter() -> None:
    """As scikit-image computes it (structural_similarity, gaussian_weights): filter all, then crop the border."""
    first, second = noisy_pair(32, 32)
    x, y = first[0, 0].double().numpy(), second[0, 0].double().numpy()
    mean_x, mean_y, xx, yy, xy = (
        gaussian_filter(part, 1.5, truncate=3.5)[5:-5, 5:-5] for part in (x, y, x * x, y * y, x * y)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * (xy - mean_x * mean_y) + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (xx - mean_x**2 + yy - mean_y**2 + c2)
    assert similarity(first[:1, :1], second[:1, :1])[1].item() == pytest.approx((above / below).mean(), rel=1e-9)


@pytest.mark.parametrize("size", [8, 11, 32])
def test_the_signal_to_noise_ratio_is_that_of_the_mean_squared_error(size: int) -> None:
    first, second = pictures(size, 0), pictures(size, 1)
    psnr, _ = similarity(first, second)
    errors = (first.double() - second.double()).square().mean((1, 2, 3))
    assert psnr.tolist() == pytest.approx((10 * torch.log10(255**2 / errors)).tolist())


def test_an_equal_pair_has_the_ratio_of_uint8s_rounding_and_the_mean_stays_finite() -> None:
    """The mean squared error of rounding to whole levels is 1/12: 10 log10(12 * 255^2) = 58.92."""
    first, second = pictures(8, 0), pictures(8, 1)
    first[0] = second[0]
    psnr, ssim = similarity(first, second)
    assert psnr[0].item() == pytest.approx(58.92, abs=0.01) and ssim[0].item() == pytest.approx(1)
    assert torch.isfinite(psnr).all() and psnr[1] < 20
    off_by_one = first.clone()
    off_by_one[0, 0, 0, 0] ^= 1  # one level in one of 192 values: less than rounding does
    assert similarity(first, off_by_one)[0][0] == psnr[0]


def test_what_lies_in_the_span_of_the_decoder_comes_back() -> None:
    model = LinearGaussian()
    latents = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.linear.weight.mul_(100)  # against so much signal the prior does not count
        images = model.sampler.decode(latents / 100)
        means = model.posterior(Batch(images, None)).mean
    torch.testing.assert_close(means, latents / 100, atol=1e-3, rtol=1e-2)


def test_chunks_are_reconstructed_alike_in_any_batch_size() -> None:
    model = LinearGaussian()
    whole = reconstructed(model, Batch(to_unit(IMAGES), None), 100)
    assert whole.dtype == torch.uint8 and whole.shape == IMAGES.shape
    assert torch.equal(reconstructions_of(model, held_out(IMAGES), 2)(0), whole)


def test_the_metrics_are_means_over_pairs_of_what_was_encoded_and_what_came_back() -> None:
    model, alone = LinearGaussian(), Processes(torch.device("cpu"))
    images = held_out(IMAGES, 4)
    psnr, ssim = similarity(IMAGES[:4], reconstructions_of(model, images, 100)(0))
    found = reconstruction_metrics(model, images, alone, batch_size=3).metrics
    assert found["psnr"].value == pytest.approx(psnr.mean().item()) and found["psnr"].count == 4
    assert found["ssim"].value == pytest.approx(ssim.mean().item())
    drawn = held_out(IMAGES, 4, binarize_seed=0)
    black_or_white = to_uint8(drawn.batch(0, torch.device("cpu")).images)
    assert set(black_or_white.unique().tolist()) == {0, 255}
    psnr, _ = similarity(black_or_white, reconstructed(model, Batch(to_unit(black_or_white), None), 9))
    assert reconstruction_metrics(model, drawn, alone).metrics["psnr"].value == pytest.approx(psnr.mean().item())
