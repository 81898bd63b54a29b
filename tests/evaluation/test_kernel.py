"""The kernel distance against loops, torchmetrics and what theory says of its mean and error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance

from genlib.evaluation import kernel
from genlib.evaluation.kernel import kernel_distance


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


def test_its_error_is_the_jackknife_over_both_sets() -> None:
    first, second = points(0, 12), points(1, 9, shift=0.5)

    def spread(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return (len(values) - 1) / len(values) * sum((value - mean) ** 2 for value in values)

    def without(features: Tensor, i: int) -> Tensor:
        return torch.cat([features[:i], features[i + 1 :]])

    of_first = spread([slow(without(first, i), second) for i in range(12)])
    of_second = spread([slow(first, without(second, i)) for i in range(9)])
    assert kernel_distance(first, second).standard_error == pytest.approx((of_first + of_second) ** 0.5, rel=1e-8)


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


def test_one_distribution_is_at_zero_within_its_error_and_another_far_beyond() -> None:
    found = [kernel_distance(points(2 * seed, 200), points(2 * seed + 1, 200)) for seed in range(40)]
    values = torch.tensor([estimate.value for estimate in found])
    assert abs(values.mean()) < 3 * values.std() / 40**0.5
    errors = torch.tensor([estimate.standard_error for estimate in found])
    assert 0.8 < (errors.square().mean().sqrt() / values.std()).item() < 2  # the jackknife errs on the safe side here
    apart = kernel_distance(points(0, 200), points(1, 200, shift=0.5))
    assert apart.standard_error is not None and apart.value > 4 * apart.standard_error


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="three images or more of each kind, not 2"):
        kernel_distance(points(0, 2), points(1, 9))
