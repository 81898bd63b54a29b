"""Samples in the plane against closed forms, slow loops and exact densities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.data.sources import point_set_of
from genlib.evaluation.estimates import over_images
from genlib.evaluation.extractors.points import points_extractor
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import chunks_of
from genlib.evaluation.scoring.samples import SampleScorer, SampleScores
from genlib.evaluation.statistics.kernel import energy_distance
from genlib.evaluation.statistics.points import log_density

CPU = torch.device("cpu")
OF_MIXTURES = ("high_quality", "reverse_kl", "reverse_kl_high_quality")
MakePoints = Callable[..., DatasetFolder]


def normal(count: int, seed: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))


def test_the_energy_distance_of_two_point_masses_is_twice_their_distance() -> None:
    here, there = torch.zeros(5, 2), torch.tensor([3.0, 4.0]).expand(7, 2)
    found = energy_distance(here, there)
    assert found.value == pytest.approx(2 * 5) and found.standard_error == pytest.approx(0, abs=1e-7)
    assert energy_distance(here, here.clone()).value == 0


def test_it_is_the_mean_over_pairs_of_different_points() -> None:
    first, second = normal(9, 0), 0.5 * normal(6, 1) + 1

    def mean(pairs: list[tuple[Tensor, Tensor]]) -> float:
        return sum(math.dist(a.tolist(), b.tolist()) for a, b in pairs) / len(pairs)

    within = [mean(list(itertools.combinations(points, 2))) for points in (first, second)]
    expected = 2 * mean(list(itertools.product(first, second))) - sum(within)
    assert energy_distance(first, second).value == pytest.approx(expected)


def test_it_is_unbiased_and_its_error_is_that_of_repetitions() -> None:
    """X ~ U(0, 1) and Y ~ U(1, 2) on a line: 2 * 1 - 1/3 - 1/3."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(300):
        line = torch.rand(2, 40, 1, generator=generator)
        found.append(energy_distance(line[0], line[1] + 1))
    values = torch.tensor([estimate.value for estimate in found])
    assert values.mean().item() == pytest.approx(4 / 3, abs=4 * values.std().item() / 300**0.5)
    errors = torch.tensor([estimate.standard_error for estimate in found])
    assert errors.mean().item() == pytest.approx(values.std().item(), rel=0.15)


def scorer_of(dataset: DatasetFolder, alone: Processes, thorough: bool = True) -> SampleScorer:
    asked = EvaluationConfig(features="points", samples=400)
    return SampleScorer(dataset, build_extractors(asked, dataset, CPU, alone), asked, alone, thorough)


def values(scores: SampleScores) -> dict[str, float]:
    return {name: estimate.value for name, estimate in scores.metrics.items()}


def of_test(scorer: SampleScorer) -> SampleScores:
    chunk = chunks_of(scorer.dataset, "test", scorer.held_out.rows)
    return scorer(chunk, 400, "test points", held_out=True)


def test_the_features_of_points_are_their_coordinates_and_nothing_lies_beside_them(
    make_points: MakePoints, alone: Processes
) -> None:
    points = normal(5, 0)
    assert torch.equal(points_extractor()(points), points)
    with pytest.raises(TypeError, match="from float32 images, not from torch.uint8"):
        points_extractor()(torch.zeros(3, 2, dtype=torch.uint8))
    scorer = scorer_of(make_points(), alone)
    assert [extractor.name for extractor in scorer.extractors.all] == [
        "points"
    ] and scorer.extractors.classifier is None
    train = torch.from_numpy(scorer.dataset.images("train").copy())
    torch.testing.assert_close(scorer.train.moments.covariance, train.double().T.cov())


def test_test_points_are_near_the_data_and_a_single_gaussian_of_a_ring_is_not(
    make_points: MakePoints, alone: Processes
) -> None:
    scorer = scorer_of(make_points(), alone)
    reals, one = values(of_test(scorer)), torch.tensor([1.0, 0.0]) + 0.01 * normal(400, 0)
    collapsed = values(scorer(lambda index: one[256 * index : 256 * (index + 1)], 400, "one Gaussian"))
    assert abs(reals["fd_points"]) < 0.02 < 0.5 < collapsed["fd_points"]
    assert abs(reals["energy_distance"]) < 0.02 < 0.5 < collapsed["energy_distance"]
    # Over an eighth of the modes there are samples, of the same density.
    assert (collapsed["modes"], reals["modes"]) == (1, 8)
    assert collapsed["reverse_kl"] == pytest.approx(math.log(8))
    three_deviations = 1 - math.exp(-4.5)
    assert collapsed["high_quality"] == pytest.approx(three_deviations, abs=0.02)
    entropy = math.log(2 * math.pi * math.e * 0.01**2)
    assert collapsed["log_density"] == pytest.approx(-entropy - math.log(8), abs=0.2)
    assert reals["coverage"] > 0.9 > 0.2 > collapsed["coverage"]
    assert "class_kl" not in reals and "fd_random" not in reals


def test_what_is_no_mixture_has_no_modes_but_a_density(make_points: MakePoints, alone: Processes) -> None:
    scorer = scorer_of(make_points("checkerboard"), alone)
    found = of_test(scorer)
    assert found.metrics["log_density"].value == pytest.approx(-math.log(32))
    assert not {"modes", *OF_MIXTURES} & found.metrics.keys()
    outside = log_density(normal(9, 0) + 9, point_set_of("checkerboard"))
    assert over_images(outside).value == -math.inf


def test_the_log_density_is_that_of_the_mixture() -> None:
    centres = torch.cartesian_prod(*[torch.arange(-4.0, 5, 2)] * 2)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.ones(25)),
        torch.distributions.Independent(torch.distributions.Normal(centres, torch.full((25, 2), 0.05)), 1),
    )
    points = centres[:7] + 0.05 * normal(7, 0)
    found = log_density(points, point_set_of("grid25"))
    torch.testing.assert_close(found, mixture.log_prob(points).double(), rtol=1e-3, atol=1e-3)


def test_a_quick_look_gives_all_that_a_gate_may_ask_of_points(make_points: MakePoints, alone: Processes) -> None:
    found = of_test(scorer_of(make_points(), alone, thorough=False)).metrics
    assert found.keys() == {
        *("fd_points", "kd_points", "precision", "recall", "density", "coverage"),
        *("energy_distance", "log_density", "modes", *OF_MIXTURES),
    }


def test_of_samples_that_are_not_finite_nothing_is_said(make_points: MakePoints, alone: Processes) -> None:
    samples = normal(400, 0)
    samples[7, 1], samples[300] = math.nan, math.inf
    scores = scorer_of(make_points(), alone)(lambda index: samples[256 * index : 256 * (index + 1)], 400, "samples")
    assert scores.metrics == {} and scores.details == {"not_finite": 2}
