"""The table of an evaluation."""

from __future__ import annotations

from typing import Any

from genlib.evaluation.report.table import table

EVALUATION: dict[str, Any] = {
    "metrics": {
        "fd_classifier": {"value": 3.25, "std": 0.125, "floor": 0.5, "count": 2000},
        "kd_classifier": {"value": 0.1, "std": None, "standard_error": 0.02, "floor": 0.0, "count": 360},
        "elbo": {"value": -12.0, "std": None, "standard_error": 0.25, "floor": None, "count": 360},
        "active_units": {"value": 4.0, "std": None, "floor": None, "count": 360},
    },
    "details": {},
    "provenance": {
        "extractor": {"name": "classifier", "hash": "abcdef0123456789", "features": 64},
        "extractor_facts": {"test_accuracy": 0.991},
        "warnings": ["The floor is of fewer images."],
        "samples": {"count": 2000, "seeds": [7, 8, 9]},
        "reference": {"split": "train", "count": 1437},
        "floor": {"split": "test", "count": 360},
        "neighbours": {"k": 5, "images": 360, "training": 1437},
        "likelihood": {
            "count": 360,
            "importance_samples": 5000,
            "unit": "nats per image",
            "pixels": "a density, dequantized",
        },
    },
}


def test_the_table_shows_every_metric_with_its_error_its_floor_and_its_better_direction() -> None:
    lines = table(EVALUATION).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["metric", "value", "real-data", "floor", "images", "better"],
        ["fd_classifier", "3.2500", "±", "0.1250", "0.5000", "2000", "lower"],
        ["kd_classifier", "0.1000", "±", "0.0200", "0.0000", "360", "lower"],
        ["elbo", "-12.0000", "±", "0.2500", "-", "360", "higher"],
        ["active_units", "4.0000", "-", "360"],
    ]


def test_the_table_has_a_column_for_the_baseline_where_there_is_one() -> None:
    metrics = {name: entry | {"baseline": None} for name, entry in EVALUATION["metrics"].items()}
    metrics["fd_classifier"]["baseline"] = 0.58
    facts = {"name": "Gaussian mixture", "components": 50, "dimensions": 64, "images": 1294}
    provenance = EVALUATION["provenance"] | {"baseline": facts}
    text = table({"metrics": metrics, "details": {}, "provenance": provenance})
    assert [line.split() for line in text.splitlines()[:4]] == [
        ["metric", "value", "real-data", "floor", "baseline", "images", "better"],
        ["fd_classifier", "3.2500", "±", "0.1250", "0.5000", "0.5800", "2000", "lower"],
        ["kd_classifier", "0.1000", "±", "0.0200", "0.0000", "-", "360", "lower"],
        ["elbo", "-12.0000", "±", "0.2500", "-", "-", "360", "higher"],
    ]
    assert "Baseline: Gaussian mixture of 50 components in 64 dimensions, fitted to 1294 train images;" in text


def test_the_table_names_counts_seeds_extractor_likelihood_and_warnings() -> None:
    text = table(EVALUATION)
    for fact in (
        "2000 samples, each with seeds 7 to 9",
        "1437 train",
        "360 test",
        "k = 5; copies: among 1437 train images",
        "abcdef012345",
        "99.1%",
    ):
        assert fact in text
    assert "360 test images, 5000 importance samples, nats per image; pixels: a density, dequantized." in text
    assert "Warning: The floor is of fewer images." in text


def test_an_evaluation_of_one_set_without_likelihood_and_floor_has_a_table_too() -> None:
    provenance = EVALUATION["provenance"] | {"likelihood": None, "extractor_facts": {}, "samples": {"count": 9}}
    metrics = {"fd_random": {"value": 1.0, "std": None, "floor": None, "count": 9}}
    text = table({"metrics": metrics, "details": {}, "provenance": provenance})
    assert text.splitlines()[1].split() == ["fd_random", "1.0000", "-", "9", "lower"]
    assert "seeds" not in text.splitlines()[2].split("After")[0] and "Likelihood" not in text
