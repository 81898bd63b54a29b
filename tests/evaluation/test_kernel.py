"""The kernel distance against loops, torchmetrics and what theory says of its mean and error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from genlib.evaluation.statistics import kernel
from genlib.evaluation.statistics.kernel import kernel_distance


def points(seed: int, count: int, d: int = 3, shift: float = 0.0) -> Tensor:
    return torch.randn(count, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def slow(first: Tensor, second: Tensor) -> float:
    """The estimate, term by term."""

    def k(a: Tensor, b: Tensor) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(first), len(second)
    within = sum(k(first[i], first[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    among = sum(k(second[i], second[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(k(a, b) for a in first for b in second) / (n * m)
    return within + among - 2 * between


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_it_agrees_with_the_definition_term_by_term_in_any_block_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "BLOCK_ELEMENTS", block)
    first, second = points(0, 17), points(1, 13, shift=0.5)
    assert kernel_distance(first, second).value == pytest.approx(slow(first, second), rel=1e-10)


def test_its_error_is_the_jackknife_less_one_part_of_second_order() -> None:
    """Term by term: leave-one-out values, and doubly centred kernel matrices."""
    first, second = points(0, 12), points(1, 9, shift=0.5)
    n, m = len(first), len(second)

    def spread(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return (len(values) - 1) / len(values) * sum((value - mean) ** 2 for value in values)

    def without(features: Tensor, i: int) -> Tensor:
        return torch.cat([features[:i], features[i + 1 :]])

    def centred_within(features: Tensor) -> float:
        size = len(features)
        matrix = (features @ features.T / features.shape[1] + 1) ** 3
        matrix.fill_diagonal_(0)
        sums, total, square = matrix.sum(1), matrix.sum(), 0.0
        for i in range(size):
            for j in range(size):
                if i != j:
                    mean = (sums[i] + sums[j]) / (size - 2) - total / ((size - 1) * (size - 2))
                    square += float(matrix[i, j] - mean) ** 2
        return square / (size * (size - 3))

    between = (first @ second.T / 3 + 1) ** 3
    between = between - between.mean(0) - between.mean(1, keepdim=True) + between.mean()
    of_both = between.square().sum().item() / ((n - 1) * (m - 1))
    jackknife = spread([slow(without(first, i), second) for i in range(n)])
    jackknife += spread([slow(first, without(second, i)) for i in range(m)])
    second_order = 2 * centred_within(first) / (n * (n - 1)) + 2 * centred_within(second) / (m * (m - 1))
    second_order += 4 * of_both / (n * m)
    expected = max(jackknife - second_order, second_order / 2) ** 0.5
    assert kernel_distance(first, second).standard_error == pytest.approx(expected, rel=1e-8)


def mean_of_the_kernel(a: Tensor, b: Tensor) -> float:
    """E (X'Y / d + 1)^3 of X ~ N(a, I) and Y ~ N(b, I), from the moments of s = X'Y."""
    d, ab, aa, bb = len(a), float(a @ b), float(a @ a), float(b @ b)
    square = ab**2 + aa + bb + d
    cube = ab**3 + 3 * ab * aa + 3 * ab * (bb + d + 2)
    return cube / d**3 + 3 * square / d**2 + 3 * ab / d + 1


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_its_mean_is_the_closed_form_and_its_error_the_spread_of_repetitions(shift: float) -> None:
    """N(0, I) against N(shift, I) in 24 dimensions: equal, near each other, and apart."""
    d, size, repetitions = 24, 80, 400
    here, there = torch.zeros(d, dtype=torch.float64), torch.full((d,), shift / d**0.5, dtype=torch.float64)
    truth = mean_of_the_kernel(here, here) + mean_of_the_kernel(there, there) - 2 * mean_of_the_kernel(here, there)
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(repetitions):
        first, second = torch.randn(2, size, d, generator=generator, dtype=torch.float64)
        found.append(kernel_distance(first, second + there))
    values = torch.tensor([estimate.value for estimate in found])
    spread = values.std().item()
    assert values.mean().item() == pytest.approx(truth, abs=4 * spread / repetitions**0.5)
    errors = torch.tensor([estimate.standard_error for estimate in found])
    assert errors.square().mean().sqrt().item() == pytest.approx(spread, rel=0.12)


class Rows(nn.Module):
    num_features = 8

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0].double().mean(2) / 64


def test_it_is_torchmetrics_estimate_over_one_subset_of_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randint(0, 200, (120, 3, 8, 8), dtype=torch.uint8, generator=generator)
    fake = torch.randint(50, 256, (120, 3, 8, 8), dtype=torch.uint8, generator=generator)
    theirs = KernelInceptionDistance(feature=Rows(), subsets=1, subset_size=120)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    ours = kernel_distance(Rows()(real), Rows()(fake))
    assert ours.value == pytest.approx(theirs.compute()[0].item(), rel=1e-5)


def test_it_is_symmetric_and_turning_changes_nothing() -> None:
    first, second = points(0, 30), points(1, 40, shift=0.3)
    expected = kernel_distance(first, second)
    rotation = torch.linalg.qr(points(2, 3)).Q
    assert kernel_distance(second, first).value == pytest.approx(expected.value, rel=1e-10)
    assert kernel_distance(first @ rotation, second @ rotation).value == pytest.approx(expected.value, rel=1e-9)


def test_equal_distributions_are_not_told_apart_and_others_are() -> None:
    same = [kernel_distance(points(2 * seed, 200), points(2 * seed + 1, 200)) for seed in range(20)]
    assert sum(abs(estimate.value) < 3 * (estimate.standard_error or 0) for estimate in same) >= 19
    apart = kernel_distance(points(0, 200), points(1, 200, shift=0.5))
    assert apart.standard_error is not None and apart.value > 4 * apart.standard_error


def test_a_set_against_itself_has_an_error() -> None:
    same = points(0, 50)
    found = kernel_distance(same, same)
    assert found.standard_error is not None and found.standard_error > 0


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="four images or more of each kind, not 3"):
        kernel_distance(points(0, 3), points(1, 9))
