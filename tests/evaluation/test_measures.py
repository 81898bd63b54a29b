"""Values with their errors."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from genlib.evaluation.estimates import Estimate, Findings, floors_of, measured, numbers_only, over_images, values_of


def test_seeds_become_a_mean_and_a_standard_deviation_beside_the_floor() -> None:
    sets = [{"fd": Estimate(value, 100, error)} for value, error in ((1.0, 0.3), (2.0, 0.4), (6.0, 0.0))]
    metrics, broken = measured(sets, {"fd": Estimate(0.5, 50)})
    assert broken == {}
    assert metrics["fd"] == {
        "value": 3.0,
        "std": pytest.approx(statistics.stdev([1, 2, 6])),
        "floor": 0.5,
        "baseline": None,
        "baseline_std": None,
        "count": 100,
        "standard_error": pytest.approx(0.5 / 3**0.5),
    }


def test_one_set_has_no_deviation_and_what_was_not_measured_no_floor() -> None:
    metrics, _ = measured([{"elbo": Estimate(-80.0, 10, 0.4), "modes": Estimate(7, 10)}], {})
    assert metrics["elbo"] == {
        "value": -80.0,
        "std": None,
        "floor": None,
        "baseline": None,
        "baseline_std": None,
        "count": 10,
        "standard_error": 0.4,
    }
    assert "standard_error" not in metrics["modes"]


def test_what_is_not_finite_for_any_seed_is_left_out_and_named() -> None:
    sets = [{"a": Estimate(1.0, 5), "b": Estimate(math.nan, 5)}, {"a": Estimate(math.inf, 5), "b": Estimate(1.0, 5)}]
    metrics, broken = measured(sets, {})
    assert metrics == {}
    assert broken["a"] == math.inf and math.isnan(broken["b"])
    assert measured([{"a": Estimate(1.0, 5)}], {"a": Estimate(math.inf, 5)})[0]["a"]["floor"] is None


def test_details_keep_their_shape_without_what_json_has_not() -> None:
    content = {"curve": [{"k": 1, "value": -math.inf}, {"k": 10, "value": 2.5}], "names": ["a"], "kl": [math.nan, 1.0]}
    assert numbers_only(content) == {
        "curve": [{"k": 1, "value": None}, {"k": 10, "value": 2.5}],
        "names": ["a"],
        "kl": [None, 1.0],
    }


def test_values_and_floors_are_read_back_from_an_evaluation() -> None:
    metrics, _ = measured([{"fd": Estimate(1.0, 5), "elbo": Estimate(2.0, 5)}], {"fd": Estimate(0.5, 5)})
    assert values_of({"metrics": metrics}) == {"fd": 1.0, "elbo": 2.0}
    assert floors_of({"metrics": metrics}) == {"fd": 0.5}
    assert values_of({}) == floors_of({}) == {}


def test_a_metric_that_one_seed_lacks_is_left_out_and_named() -> None:
    metrics, broken = measured([{"fd": Estimate(1.0, 5), "kd": Estimate(2.0, 5)}, {"fd": Estimate(3.0, 5)}], {})
    assert metrics.keys() == {"fd"} and metrics["fd"]["value"] == 2
    assert broken.keys() == {"kd"} and math.isnan(broken["kd"])
    assert measured([{}, {"fd": Estimate(1.0, 5)}], {})[1].keys() == {"fd"}


def test_findings_are_joined_and_values_for_images_are_averaged() -> None:
    first, second = Findings({"elbo": Estimate(1.0, 2)}, {"curve": []}), Findings({"psnr": Estimate(2.0, 3)})
    joined = first | second | Findings(floor={"elbo": Estimate(3.0, 2)})
    assert joined.metrics == first.metrics | second.metrics and joined.details == {"curve": []}
    assert joined.floor["elbo"].value == 3
    found = over_images(torch.tensor([1.0, 2.0, 6.0]))
    assert (found.value, found.count) == (3.0, 3)
    assert found.standard_error == pytest.approx((7 / 3) ** 0.5)
