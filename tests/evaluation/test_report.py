"""The table of an evaluation."""

from __future__ import annotations

from typing import Any

from genlib.evaluation.report import table

EVALUATION: dict[str, Any] = {
    "metrics": {"fd_classifier": 3.25, "precision": 0.5, "elbo": -12.0, "kl": 4.0},
    "floor": {"fd_classifier": 0.125, "precision": 0.75},
    "provenance": {
        "extractor": {"name": "classifier", "hash": "abcdef0123456789", "features": 64},
        "extractor_facts": {"test_accuracy": 0.991},
        "warnings": ["The floor is of fewer images."],
        "samples": {"count": 2000, "seed": 7},
        "reference": {"split": "train", "count": 1437},
        "floor": {"split": "test", "count": 360},
        "neighbours": {"k": 5, "samples": 360, "reals": 360, "split": "train"},
        "likelihood": {"standard_error": {"elbo": 0.25, "kl": 0.125}},
    },
}


def test_the_table_shows_every_metric_beside_its_floor_and_its_better_direction() -> None:
    lines = table(EVALUATION).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["metric", "value", "real-data", "floor", "better"],
        ["fd_classifier", "3.2500", "0.1250", "lower"],
        ["precision", "0.5000", "0.7500", "higher"],
        ["elbo", "-12.0000", "±", "0.2500", "-", "higher"],
        ["kl", "4.0000", "±", "0.1250", "-"],
    ]


def test_the_table_names_counts_seed_extractor_and_warnings() -> None:
    text = table(EVALUATION)
    for fact in ("2000 samples (seed 7)", "1437 train", "360 test", "k = 5", "abcdef012345", "99.1%"):
        assert fact in text
    assert "Warning: The floor is of fewer images." in text


def test_an_evaluation_without_likelihood_and_floor_has_a_table_too() -> None:
    provenance = EVALUATION["provenance"] | {"likelihood": None, "extractor_facts": {}}
    text = table({"metrics": {"fd_random": 1.0}, "floor": {}, "provenance": provenance})
    assert text.splitlines()[1].split() == ["fd_random", "1.0000", "-", "lower"]
