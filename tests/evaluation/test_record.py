"""Warnings of an evaluation's table."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from genlib.config.training import EvaluationConfig
from genlib.evaluation.report.record import warnings_of


def evaluator(train: int, kept: int, held_out: int = 300) -> SimpleNamespace:
    """300 test images, and features of `kept` of the train images."""
    scorer = SimpleNamespace(
        extractors=SimpleNamespace(main=SimpleNamespace(num_features=2)),
        neighbour_count=300,
        train=SimpleNamespace(features=torch.zeros(kept, 2)),
        held_out=SimpleNamespace(features=torch.zeros(held_out, 2)),
    )
    manifest = SimpleNamespace(counts={"train": train, "test": 300})
    dataset = SimpleNamespace(manifest=manifest, is_points=False)
    return SimpleNamespace(asked=EvaluationConfig(samples=300), dataset=dataset, scorer=scorer, floor_count=300)


def test_neighbours_that_are_looked_for_among_some_images_alone_are_told() -> None:
    assert warnings_of(evaluator(1000, 1000), None) == []
    found = warnings_of(evaluator(60_000, 50_000, 200), None)
    assert len(found) == 2
    assert found[0].startswith("The nearest train images are looked for among 50,000 of 60,000, ")
    assert found[1].startswith("The nearest test images are looked for among 200 of 300, ")
