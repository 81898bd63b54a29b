import math

import pytest

from pipelines.gate import Scores, judge

BASIS = {
    "extractor": "feed",
    "dataset": "abab",
    "number of neighbours": "5",
    "number of test images": "1000",
    "kind of likelihood": "a density, dequantized",
}


def scores(basis: dict[str, str] = BASIS, **metrics: float) -> Scores:
    return Scores(metrics, basis)


@pytest.mark.parametrize(
    ("metric", "margin", "candidate", "champion", "promoted", "reason"),
    [
        ("fd_classifier", 0.0, scores(fd_classifier=1.0), None, True, "first version"),
        ("fd_classifier", 0.0, scores(fd_classifier=math.nan), None, False, "nan"),
        ("fd_classifier", 0.0, scores(precision=0.5), None, False, "missing"),
        ("fd_classifier", 0.0, scores(fd_classifier=0.9), scores(fd_classifier=1.0), True, "is better than"),
        ("fd_classifier", 0.0, scores(fd_classifier=1.0), scores(fd_classifier=1.0), False, "is not better"),
        ("fd_classifier", 0.0, scores(fd_classifier=1.1), scores(fd_classifier=1.0), False, "is not better"),
        ("fd_classifier", 0.25, scores(fd_classifier=0.75), scores(fd_classifier=1.0), True, "better by 0.25"),
        ("fd_classifier", 0.25, scores(fd_classifier=0.8), scores(fd_classifier=1.0), False, "better by 0.25"),
        ("fd_classifier", 0.0, scores(fd_classifier=math.inf), scores(fd_classifier=1.0), False, "inf"),
        ("fd_classifier", 0.0, scores(fd_classifier=-math.inf), scores(fd_classifier=1.0), False, "inf"),
        ("coverage", 0.0, scores(coverage=0.9), scores(coverage=0.8), True, "is better"),
        ("coverage", 0.0, scores(coverage=0.8), scores(coverage=0.9), False, "is not better"),
        ("coverage", 0.25, scores(coverage=0.75), scores(coverage=0.5), True, "is better"),
        ("elbo", 0.0, scores(elbo=-90.0), scores(elbo=-95.0), True, "is better"),
        ("coverage", 0.0, scores(coverage=0.9), scores(precision=0.8), False, "champion's coverage is missing"),
        ("coverage", 0.0, scores(coverage=0.9), scores(coverage=math.nan), False, "champion's coverage is nan"),
    ],
)
def test_a_version_becomes_champion_only_if_finite_and_better_by_the_margin(
    metric: str, margin: float, candidate: Scores, champion: Scores | None, promoted: bool, reason: str
) -> None:
    verdict = judge(metric, margin, candidate, champion)
    assert verdict.champion is promoted
    assert reason in verdict.reason


@pytest.mark.parametrize("name", ["extractor", "dataset"])
def test_values_measured_in_different_ways_are_not_compared_and_the_reason_says_which(name: str) -> None:
    champion = scores(BASIS | {name: "other"}, fd_classifier=1.0)
    verdict = judge("fd_classifier", 0.0, scores(fd_classifier=0.1), champion)
    assert not verdict.champion
    assert verdict.reason == f"not comparable: the champion was evaluated with another {name}"


@pytest.mark.parametrize(
    ("metric", "other", "comparable"),
    [
        ("fd_classifier", "number of neighbours", True),
        ("fd_classifier", "kind of likelihood", True),
        ("coverage", "number of neighbours", False),
        ("elbo", "kind of likelihood", False),
        ("elbo", "number of test images", False),
        ("elbo", "extractor", True),
        ("psnr", "kind of likelihood", True),
        ("psnr", "dataset", False),
    ],
)
def test_only_what_a_metric_depends_on_must_be_the_same(metric: str, other: str, comparable: bool) -> None:
    champion = Scores({metric: 1.0}, BASIS | {other: "another"})
    better = Scores({metric: 0.5 if metric == "fd_classifier" else 2.0}, BASIS)
    assert judge(metric, 0.0, better, champion).champion is comparable


def test_reconstructions_are_compared_over_as_many_test_images_whatever_judged_the_samples():
    old = scores(psnr=19.0)
    assert judge("psnr", 0.0, scores(BASIS | {"extractor": "new"}, psnr=20.0), old).champion
    verdict = judge("psnr", 0.0, scores(BASIS | {"number of test images": "100"}, psnr=20.0), old)
    assert not verdict.champion and "another number of test images" in verdict.reason
