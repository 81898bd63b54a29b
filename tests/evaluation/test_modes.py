"""Modes: how many are reached, and how evenly."""

from __future__ import annotations

import math

import pytest
import torch

from genlib.evaluation.statistics.modes import mixture_coverage, mode_coverage


def test_modes_are_counted_and_their_divergence_is_that_of_the_shares() -> None:
    found = mode_coverage(torch.tensor([0, 0, 0, 2]), torch.tensor([0.5, 0.25, 0.25]))
    assert found.modes == 2 and found.shares.tolist() == [0.75, 0, 0.25]
    assert found.kl == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.25))


def test_the_datas_own_shares_diverge_by_nothing_and_one_mode_by_the_log_of_its_rarity() -> None:
    assert mode_coverage(torch.arange(10).repeat(5), torch.full((10,), 0.1)).kl == pytest.approx(0, abs=1e-6)
    assert mode_coverage(torch.zeros(5, dtype=torch.int64), torch.full((1000,), 1e-3)).kl == pytest.approx(
        math.log(1000), rel=1e-5
    )


def test_samples_in_a_mode_without_data_diverge_without_bound() -> None:
    assert mode_coverage(torch.tensor([0, 1]), torch.tensor([1.0, 0.0])).kl == math.inf
    with pytest.raises(ValueError, match="one sample or more"):
        mode_coverage(torch.empty(0, dtype=torch.int64), torch.ones(2))


RING = torch.tensor([[math.cos(angle * math.pi / 4), math.sin(angle * math.pi / 4)] for angle in range(8)])


def test_samples_of_the_mixture_itself_are_good_and_reach_every_mode() -> None:
    generator = torch.Generator().manual_seed(0)
    modes = torch.randint(0, 8, (4000,), generator=generator)
    found = mixture_coverage(RING[modes] + 0.05 * torch.randn(4000, 2, generator=generator), RING, 0.05)
    assert found.modes == 8
    assert found.high_quality_share == pytest.approx(1 - math.exp(-4.5), abs=0.006)  # within 3 std in two dimensions
    assert 0 <= found.reverse_kl < 0.01 and 0 <= found.reverse_kl_high_quality < 0.01


def slow_reverse_kl(points: torch.Tensor, centres: torch.Tensor) -> float:
    """Lin et al. 2018, section 4.1: each sample is counted at the nearest centre; KL to equal shares."""
    counts = [0] * len(centres)
    for point in points.tolist():
        distances = [math.dist(point, centre) for centre in centres.tolist()]
        counts[distances.index(min(distances))] += 1
    shares = [count / len(points) for count in counts]
    return sum(share * math.log(share * len(centres)) for share in shares if share)


def test_the_reverse_divergence_counts_every_sample_at_its_nearest_mode_and_its_sibling_good_ones_alone() -> None:
    """Four modes of the ring in full, and stray samples near a fifth, more than three standard deviations away."""
    points = torch.cat([RING[:4].repeat(10, 1), 0.6 * RING[6:7].repeat(10, 1)])
    found = mixture_coverage(points, RING, 0.05)
    assert (found.high_quality_share, found.modes) == (0.8, 4)
    assert found.reverse_kl == pytest.approx(math.log(8 / 5))
    assert found.reverse_kl == pytest.approx(slow_reverse_kl(points, RING))
    assert found.reverse_kl_high_quality == pytest.approx(math.log(2))
    scattered = torch.randn(300, 2, generator=torch.Generator().manual_seed(1))
    assert mixture_coverage(scattered, RING, 0.05).reverse_kl == pytest.approx(slow_reverse_kl(scattered, RING))


def test_no_good_sample_reaches_no_mode_and_broken_ones_are_refused() -> None:
    stray = mixture_coverage(0.5 * RING[:1].repeat(5, 1), RING, 0.05)
    assert stray == (0.0, 0, pytest.approx(math.log(8)), math.inf)
    with pytest.raises(ValueError, match="1 of 5 points are not finite"):
        mixture_coverage(torch.tensor([[0.0, 0]] * 4 + [[math.nan, 0]]), RING, 0.05)
