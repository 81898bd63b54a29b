import math
import statistics

import pytest
from scipy.stats import ttest_ind

from pipelines.registry.comparison import cell
from pipelines.registry.gate import (
    Scores,
    compare_at_gate,
    compare_with_baseline,
    require_baseline,
    spread_of_seeds,
)
from pipelines.registry.gate_report import GateReport
from pipelines.registry.scores import as_tags, from_tags, is_current, scores_of

BASIS = {
    "extractor": "feed",
    "dataset": "abab",
    "set of seeds": "0, 1, 2",
    "number of neighbours": "5",
    "number of test images": "1000",
    "kind of likelihood": "a density, dequantized",
}


def scores(basis: dict[str, str] = BASIS, std: float | None = None, **metrics: float) -> Scores:
    return Scores(metrics, basis, {name: std for name in metrics} if std is not None else {})


@pytest.mark.parametrize(
    ("metric", "margin", "candidate", "champion", "promoted", "reason"),
    [
        ("fd_classifier", 0.0, scores(fd_classifier=1.0), None, True, "first version"),
        ("fd_classifier", 0.0, scores(fd_classifier=math.nan), None, False, "nan"),
        ("fd_classifier", 0.0, scores(precision=0.5), None, False, "missing"),
        ("fd_classifier", 0.0, scores(fd_classifier=0.9), scores(fd_classifier=1.0), True, "is better than"),
        ("fd_classifier", 0.0, scores(fd_classifier=1.0), scores(fd_classifier=1.0), False, "is not better"),
        ("fd_classifier", 0.0, scores(fd_classifier=1.1), scores(fd_classifier=1.0), False, "is not better"),
        ("fd_classifier", 0.25, scores(fd_classifier=0.5), scores(fd_classifier=1.0), True, "by 0.5, more than 0.25"),
        ("fd_classifier", 0.25, scores(fd_classifier=0.75), scores(fd_classifier=1.0), False, "by 0.25, but it takes"),
        ("fd_classifier", 0.25, scores(fd_classifier=0.8), scores(fd_classifier=1.0), False, "0.25 (the margin)"),
        ("fd_classifier", 0.0, scores(fd_classifier=math.inf), scores(fd_classifier=1.0), False, "inf"),
        ("fd_classifier", 0.0, scores(fd_classifier=-math.inf), scores(fd_classifier=1.0), False, "inf"),
        ("coverage", 0.0, scores(coverage=0.9), scores(coverage=0.8), True, "is better"),
        ("coverage", 0.0, scores(coverage=0.8), scores(coverage=0.9), False, "is not better"),
        ("coverage", 0.25, scores(coverage=0.875), scores(coverage=0.5), True, "is better"),
        ("elbo", 0.0, scores(elbo=-90.0), scores(elbo=-95.0), True, "is better"),
        ("coverage", 0.0, scores(coverage=0.9), scores(precision=0.8), False, "champion's coverage is missing"),
        ("coverage", 0.0, scores(coverage=0.9), scores(coverage=math.nan), False, "champion's coverage is nan"),
    ],
)
def test_a_version_becomes_champion_only_if_finite_and_better_by_more_than_the_margin(
    metric: str, margin: float, candidate: Scores, champion: Scores | None, promoted: bool, reason: str
) -> None:
    result = compare_at_gate(metric, margin, candidate, champion)
    assert result.passes is promoted
    assert reason in result.reason


def test_the_spread_is_what_welchs_test_of_both_sets_of_seeds_takes_for_chance() -> None:
    ours, theirs = [3.9, 4.1, 4.3], [4.4, 4.9, 5.0]
    candidate, champion = (
        scores(std=statistics.stdev(values), fd_classifier=statistics.fmean(values)) for values in (ours, theirs)
    )
    spread = spread_of_seeds("fd_classifier", candidate, champion)
    shift = statistics.fmean(theirs) - statistics.fmean(ours)
    for needed, p_value in ((spread, 0.05), (0.0, 0.5)):
        moved = [value - shift + needed for value in theirs]  # so that they lie `needed` above ours
        assert ttest_ind(moved, ours, equal_var=False, alternative="greater").pvalue == pytest.approx(p_value)


def test_a_difference_within_the_spread_over_seeds_makes_no_champion() -> None:
    champion = scores(std=0.2, fd_classifier=4.0)
    within = compare_at_gate("fd_classifier", 0.1, scores(std=0.2, fd_classifier=3.7), champion)
    assert not within.passes
    assert within.reason.endswith("by 0.3, but it takes more than 0.3481 (the spread over sampling seeds)")
    beyond = compare_at_gate("fd_classifier", 0.1, scores(std=0.2, fd_classifier=3.6), champion)
    assert beyond.passes and beyond.spread == pytest.approx(2.1318 * 0.2 * (2 / 3) ** 0.5, rel=1e-4)
    steady = compare_at_gate(
        "fd_classifier", 0.1, scores(std=0.02, fd_classifier=3.7), scores(std=0.02, fd_classifier=4.0)
    )
    assert steady.passes and steady.spread < 0.1


@pytest.mark.parametrize(
    ("metric", "seeds", "ours", "theirs"),
    [
        ("elbo", "0, 1, 2", 0.5, 0.5),  # of test images
        ("fd_classifier", "0", 0.5, 0.5),
        ("fd_classifier", "none", 0.5, 0.5),
        ("fd_classifier", "0, 1, 2", None, 0.5),
        ("fd_classifier", "0, 1, 2", 0.0, 0.0),
    ],
)
def test_where_nothing_is_known_of_a_spread_the_margin_alone_counts(
    metric: str, seeds: str, ours: float | None, theirs: float | None
) -> None:
    basis = BASIS | {"set of seeds": seeds}
    one, other = (scores(basis, std, **{metric: 1.0}) for std in (ours, theirs))
    assert spread_of_seeds(metric, one, other) == 0.0


def test_one_set_of_seeds_without_spread_leaves_the_others() -> None:
    both = spread_of_seeds("fd_classifier", scores(std=0.0, fd_classifier=1.0), scores(std=0.3, fd_classifier=1.0))
    assert both == pytest.approx(2.9200 * 0.3 / 3**0.5, rel=1e-4)  # Student's t at two degrees of freedom


@pytest.mark.parametrize("name", ["extractor", "dataset", "set of seeds"])
def test_values_measured_in_different_ways_are_not_compared_and_the_reason_says_which(name: str) -> None:
    champion = scores(BASIS | {name: "other"}, fd_classifier=1.0)
    result = compare_at_gate("fd_classifier", 0.0, scores(fd_classifier=0.1), champion)
    assert not result.passes
    assert result.reason == f"not comparable: the champion was evaluated with another {name}"


@pytest.mark.parametrize("metric", ["psnr", "authpct", "fd_classifier"])
def test_values_under_another_definition_are_not_compared_and_other_metrics_are(metric: str) -> None:
    """An evaluation from before a definition changed says nothing of definitions."""
    former, now = BASIS, BASIS | {"definition of psnr": "2", "definition of authpct": "2"}
    for ours, theirs in ((now, former), (former, now)):
        result = compare_at_gate(metric, 0.0, scores(ours, **{metric: 0.5}), scores(theirs, **{metric: 0.4}))
        if metric == "fd_classifier":
            assert "not comparable" not in result.reason
        else:
            assert result.reason.endswith(f"the champion was evaluated with another definition of {metric}")
    assert (
        compare_at_gate(metric, 0.0, scores(now, **{metric: 0.5}), scores(now, **{metric: 0.4})).improvement is not None
    )


def test_an_evaluation_names_the_definitions_of_its_metrics_and_tags_keep_them() -> None:
    provenance = {
        "extractor": {"hash": "feed"},
        "dataset_hash": "abab",
        "samples": {"count": 9},
        "neighbours": {"k": 5},
        "likelihood": None,
        "definitions": {"psnr": 2},
    }
    entry = {"value": 20.0, "std": None, "floor": None}
    found = scores_of({"metrics": {"psnr": entry, "elbo": entry}, "provenance": provenance})
    kept = from_tags(as_tags(found))
    assert kept == found and kept.basis["definition of psnr"] == "2" and "definition of elbo" not in kept.basis
    assert is_current(kept, "elbo") and is_current(kept, "psnr")
    assert not is_current(kept._replace(basis={}), "psnr") and is_current(kept._replace(basis={}), "elbo")


def test_tables_leave_out_or_mark_what_was_computed_under_an_earlier_definition() -> None:
    former, now = scores(BASIS, psnr=30.0, elbo=-9.0), scores(BASIS | {"definition of psnr": "2"}, psnr=20.0, elbo=-8.0)
    assert cell(former, "psnr") == "30 (earlier definition)" and cell(now, "psnr") == "20"
    assert cell(former, "elbo") == "-9"
    rows = (
        GateReport("elbo", 0.0, compare_at_gate("elbo", 0.0, now, former), now, former, "1", "champion")
        .markdown()
        .splitlines()
    )
    assert [row for row in rows if row.startswith("| psnr")] == ["| psnr | 20 |  |  |  |  |"]
    assert [row for row in rows if row.startswith("| elbo")] == ["| elbo | -8 |  | -9 |  |  |"]


@pytest.mark.parametrize(
    ("metric", "other", "comparable"),
    [
        ("fd_classifier", "number of neighbours", True),
        ("fd_classifier", "kind of likelihood", True),
        ("coverage", "number of neighbours", False),
        ("elbo", "kind of likelihood", False),
        ("elbo", "number of test images", False),
        ("elbo", "extractor", True),
        ("elbo", "set of seeds", True),
        ("psnr", "kind of likelihood", True),
        ("psnr", "dataset", False),
    ],
)
def test_only_what_a_metric_depends_on_must_be_the_same(metric: str, other: str, comparable: bool) -> None:
    champion = Scores({metric: 1.0}, BASIS | {other: "another"})
    better = Scores({metric: 0.5 if metric == "fd_classifier" else 2.0}, BASIS)
    assert compare_at_gate(metric, 0.0, better, champion).passes is comparable


def test_reconstructions_are_compared_over_as_many_test_images_whatever_judged_the_samples() -> None:
    old = scores(psnr=19.0)
    assert compare_at_gate("psnr", 0.0, scores(BASIS | {"extractor": "new"}, psnr=20.0), old).passes
    result = compare_at_gate("psnr", 0.0, scores(BASIS | {"number of test images": "100"}, psnr=20.0), old)
    assert not result.passes and "another number of test images" in result.reason


@pytest.mark.parametrize(
    ("metric", "value", "baseline", "better"),
    [
        ("fd_classifier", 0.5, 0.58, True),
        ("fd_classifier", 0.58, 0.58, False),
        ("fd_classifier", 4.0, 0.58, False),
        ("coverage", 0.98, 0.97, True),
        ("coverage", 0.9, 0.97, False),
    ],
)
def test_a_version_beats_the_baseline_where_it_is_better(
    metric: str, value: float, baseline: float, better: bool
) -> None:
    candidate = scores(**{metric: value})._replace(baseline={metric: baseline})
    against = compare_with_baseline(metric, candidate)
    assert against is not None and against.passes is better
    passed = compare_at_gate(metric, 0.0, candidate, None)
    required = require_baseline(metric, candidate, passed)
    assert required.passes is better
    if not better:
        assert required.reason.endswith(f"is not better than the baseline's {baseline:.4g}, which is required")
    else:
        assert required == passed


def test_the_spread_over_seeds_counts_against_the_baseline_too() -> None:
    candidate = scores(std=0.2, fd_classifier=3.7)._replace(
        baseline={"fd_classifier": 4.0}, baseline_std={"fd_classifier": 0.2}
    )
    against = compare_with_baseline("fd_classifier", candidate)
    assert against is not None and not against.passes
    assert against.reason.endswith("but it takes more than 0.3481 (the spread over sampling seeds)")


def test_without_a_baseline_there_is_nothing_to_compare_and_what_is_required_is_missing() -> None:
    candidate = scores(fd_classifier=0.5)
    assert compare_with_baseline("fd_classifier", candidate) is None
    required = require_baseline("fd_classifier", candidate, compare_at_gate("fd_classifier", 0.0, candidate, None))
    assert not required.passes
    assert required.reason == "its evaluation has no baseline of fd_classifier, which is required"
    worse = compare_at_gate("fd_classifier", 0.0, candidate, scores(fd_classifier=0.1))
    assert require_baseline("fd_classifier", candidate, worse) == worse


def test_tags_keep_the_baseline_and_the_gates_table_has_a_column_for_it() -> None:
    candidate = scores(fd_classifier=4.0, precision=0.5)._replace(
        baseline={"fd_classifier": 0.58}, baseline_std={"fd_classifier": 0.01}
    )
    assert from_tags(as_tags(candidate)) == candidate
    result = compare_at_gate("fd_classifier", 0.0, candidate, None)
    lines = GateReport("fd_classifier", 0.0, result, candidate, None, None, "champion").markdown().splitlines()
    assert lines[-4:] == [
        "| metric | this version | ± | champion | ± | real-data floor | baseline |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| fd_classifier | 4 |  |  |  |  | 0.58 |",
        "| precision | 0.5 |  |  |  |  |  |",
    ]
