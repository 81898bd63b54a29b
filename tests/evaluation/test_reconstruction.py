"""Similarity of pairs, against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from genlib.evaluation.processes import Processes
from genlib.evaluation.reconstruction import (
    reconstructed,
    reconstruction_metrics,
    reconstructions_of,
    similarity,
)
from genlib.methods import Batch
from genlib.pixels import to_uint8, to_unit
from tests.evaluation.linear_gaussian import LinearGaussian, held_out

IMAGES = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def pictures(size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [8, 11, 32])
def test_a_pair_is_as_alike_as_its_mean_squared_error_and_structure_say(size: int) -> None:
    first, second = pictures(size, 0), pictures(size, 1)
    psnr, ssim = similarity(first, second)
    errors = (first.double() - second.double()).square().mean((1, 2, 3))
    assert psnr.tolist() == pytest.approx((10 * torch.log10(255**2 / errors)).tolist(), rel=1e-5)
    assert ssim.shape == (3,) and ssim.abs().max() < 0.5
    same_psnr, same_ssim = similarity(first, first)
    assert same_ssim.tolist() == pytest.approx([1, 1, 1]) and math.isinf(same_psnr[0].item())


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
