"""Neighbour metrics against a transcription of the papers and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genlib.evaluation.statistics import neighbours
from genlib.evaluation.statistics.neighbours import copies, nearest, neighbour_metrics, radii_among


def transcription(reals: Tensor, fakes: Tensor, k: int) -> dict[str, float]:
    """The definitions with loops, point by point."""

    def distance(a: Tensor, b: Tensor) -> float:
        return math.dist(a.tolist(), b.tolist())

    def radius(point: int, points: Tensor) -> float:
        return sorted(distance(points[point], other) for j, other in enumerate(points) if j != point)[k - 1]

    def in_balls(x: Tensor, centres: Tensor) -> int:
        return sum(distance(x, centre) <= radius(i, centres) for i, centre in enumerate(centres))

    n, m = len(reals), len(fakes)
    return {
        "precision": sum(in_balls(y, reals) > 0 for y in fakes) / m,
        "recall": sum(in_balls(x, fakes) > 0 for x in reals) / n,
        "density": sum(in_balls(y, reals) for y in fakes) / (k * m),
        "coverage": sum(any(distance(x, y) <= radius(i, reals) for y in fakes) for i, x in enumerate(reals)) / n,
    }


def memorization(train: Tensor, held_out: Tensor, fakes: Tensor, fakes_are_held_out: bool = False) -> dict[str, float]:
    return copies(train, held_out, fakes, fakes_are_held_out)


def authpct(train: Tensor, fakes: Tensor) -> float:
    """What is held out, and how much, plays no part in it."""
    found = {memorization(train, held_out, fakes)["authpct"] for held_out in (train, train[:3])}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("block", [1, 100, 10**6])
def test_they_agree_with_the_definitions_point_by_point_in_any_block_size(
    k: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", block)
    generator = torch.Generator().manual_seed(k)
    reals = torch.randn(24, 3, generator=generator)
    fakes = torch.randn(19, 3, generator=generator) * 0.7 + 0.4
    expected = pytest.approx(transcription(reals, fakes, k))
    assert neighbour_metrics(reals, fakes, k) == expected
    assert neighbour_metrics(reals, fakes, k, radii_among(reals, k)) == expected


def test_coverage_of_identical_distributions_has_its_closed_form() -> None:
    n, m, k = 400, 300, 5
    generator = torch.Generator().manual_seed(0)
    found = [
        neighbour_metrics(torch.randn(n, 4, generator=generator), torch.randn(m, 4, generator=generator), k)["coverage"]
        for _ in range(20)
    ]
    # The k nearest of a real's n - 1 + m neighbours are all real.
    expected = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    assert sum(found) / len(found) == pytest.approx(expected, abs=0.005)


def test_a_copy_of_the_reals_is_perfect() -> None:
    reals = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    found = neighbour_metrics(reals, reals.clone(), 3)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_a_collapsed_generator_is_precise_at_best_and_never_recalls() -> None:
    reals = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    found = neighbour_metrics(reals, reals[:1].expand(50, -1), 3)
    assert found["precision"] == 1
    assert found["recall"] == 1 / 50  # the one real that all fakes are
    assert all(math.isfinite(value) for value in found.values())


def test_too_few_images_for_k_are_refused() -> None:
    with pytest.raises(ValueError, match="k \\(5\\) must be below the number of images \\(5\\)"):
        neighbour_metrics(torch.zeros(9, 2), torch.zeros(5, 2), 5)


def points(seed: int, count: int, d: int = 3) -> Tensor:
    return torch.randn(count, d, generator=torch.Generator().manual_seed(seed))


def test_turning_moving_and_scaling_both_sets_changes_nothing() -> None:
    reals, fakes = points(0, 60), points(1, 50) * 0.8 + 0.3
    rotation = torch.linalg.qr(points(2, 3)).Q
    moved = [7 * features @ rotation + 11 for features in (reals, fakes)]
    assert neighbour_metrics(*moved, 3) == pytest.approx(neighbour_metrics(reals, fakes, 3))
    assert authpct(*moved) == pytest.approx(authpct(reals, fakes))


def slow_authpct(reals: Tensor, fakes: Tensor) -> float:
    """Alaa et al. 2022, as dgm-eval computes it, where no training image occurs twice: authentic are fakes whose
    nearest training image is nearer to another one than to the fake.
    """
    reals = reals.unique(dim=0)
    authentic = 0
    for fake in fakes:
        distances = [math.dist(fake.tolist(), real.tolist()) for real in reals]
        near = distances.index(min(distances))
        others = [math.dist(reals[near].tolist(), real.tolist()) for i, real in enumerate(reals) if i != near]
        authentic += min(others) < min(distances)
    return 100 * authentic / len(fakes)


@pytest.mark.parametrize("block", [1, 10**6])
def test_authpct_agrees_with_its_definition_point_by_point(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_ELEMENTS", block)
    reals, fakes = points(0, 40), points(1, 30) * 0.6
    assert authpct(reals, fakes) == pytest.approx(slow_authpct(reals, fakes))
    assert 0 < authpct(reals, fakes) < 100


def test_a_copy_of_a_training_image_that_occurs_twice_is_a_copy() -> None:
    """Exact or nearly so; beside images that occur once, thrice, and as features that differ by rounding."""
    once = points(0, 40)
    train = torch.cat([once, once[:10], once[:5], once[10:20] * (1 + 2e-7)])
    assert authpct(train, once[:10]) == authpct(train, train) == 0
    near = once[:20] + 1e-3 * points(3, 20)
    assert authpct(train, near) == 0
    fresh = points(1, 30)
    assert authpct(train, fresh) == pytest.approx(slow_authpct(once, fresh))
    assert 0 < authpct(train, fresh) < 100
    assert authpct(torch.ones(9, 3), torch.zeros(4, 3)) == 0  # one image alone has no neighbour to be compared with


def test_a_sample_as_far_from_a_training_image_as_that_one_is_from_its_neighbour_is_a_copy() -> None:
    """dgm-eval: authentic only if the training image's neighbour is strictly nearer to it."""
    train = torch.tensor([[0.0], [2.0], [10.0]])  # their mean is 4: no rounding
    assert authpct(train, torch.tensor([[-2.0]])) == 0
    assert authpct(train, torch.tensor([[-2.5]])) == 100


def test_copies_of_training_images_are_found_and_honest_samples_are_not() -> None:
    train, held_out, fresh = points(0, 400, 8), points(1, 400, 8), points(2, 400, 8)
    honest, copied = memorization(train, held_out, fresh), memorization(train, held_out, train + 1e-3)
    assert honest["nearer_to_train"] == pytest.approx(0.5, abs=0.08)
    assert honest["nn_distance_train"] == pytest.approx(honest["nn_distance_held_out"], rel=0.05)
    assert copied["nearer_to_train"] == 1 and copied["nn_distance_train"] < 0.01 < copied["nn_distance_held_out"]
    assert authpct(train, train + 1e-3) == 0 < authpct(train, fresh)


def test_held_out_images_in_the_place_of_samples_are_not_compared_with_themselves() -> None:
    train, held_out = points(0, 400, 8), points(1, 400, 8)
    found = memorization(train, held_out, held_out, fakes_are_held_out=True)
    assert found["nearer_to_train"] == pytest.approx(0.5, abs=0.08)
    assert found["nn_distance_held_out"] == pytest.approx(found["nn_distance_train"], rel=0.05)


def test_the_distance_to_training_images_is_to_all_of_them_and_the_share_between_equals() -> None:
    train, held_out = points(0, 900, 8), points(1, 300, 8)
    found = memorization(train, held_out, train[600:])  # copies of images beyond the first 300
    assert found["nn_distance_train"] == pytest.approx(0, abs=1e-6)
    assert found["nearer_to_train"] == pytest.approx(0.5, abs=0.08)


def test_the_nearest_are_those_of_a_full_distance_matrix() -> None:
    some, others = points(0, 20), points(1, 30)
    expected = torch.cdist(some, others).topk(4, largest=False)
    found = nearest(some, others, 4)
    assert torch.equal(found.rows, expected.indices)
    torch.testing.assert_close(found.distances.sqrt(), expected.values)


@pytest.mark.parametrize("k", [1, 5])
def test_the_nearest_among_many_are_those_of_float64(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    others = points(0, 3000, 6).double()
    others[1000:1100] = others[0]  # more at one place than there are candidates
    others[:500] += 1e4  # far from the origin, where float32 tells no neighbours apart
    some = torch.cat([points(1, 200, 6).double(), others[:50] + 1e-6 * points(2, 50, 6), others[990:1010]])
    itself = torch.cat([torch.zeros(250, dtype=torch.int64), torch.arange(990, 1010)])
    expected = nearest(some, others, k, itself)
    monkeypatch.setattr(neighbours, "MANY", 1000)
    found = nearest(some, others, k, itself)
    torch.testing.assert_close(found.distances, expected.distances, rtol=1e-6, atol=1e-6)
    alone = expected.distances[:, 0] > 1e-12
    assert torch.equal(found.rows[alone], expected.rows[alone])
    assert torch.isfinite(found.distances).all()


def test_few_of_the_nearest_are_looked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    by_all = neighbours.nearest_by_all
    monkeypatch.setattr(
        neighbours, "nearest_by_all", lambda some, *rest: looks.append(len(some)) or by_all(some, *rest)
    )
    nearest(points(0, 500, 64).double(), points(1, 5000, 64).double())
    assert sum(looks) < 10


def test_as_many_neighbours_may_be_asked_for_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    some, others = points(0, 3).double(), points(1, 60).double()
    monkeypatch.setattr(neighbours, "MANY", 20)
    for k in (39, 40, 41, 60):
        torch.testing.assert_close(
            nearest(some, others, k).distances, torch.cdist(some, others).square().sort(1)[0][:, :k]
        )
