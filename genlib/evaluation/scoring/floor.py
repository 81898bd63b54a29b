"""The real-data floor: held-out images in the place of samples, scored once and kept beside the dataset."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from genlib.choices.discovery import origin_of
from genlib.config.metrics import metrics
from genlib.errors import UserError
from genlib.evaluation.estimates import Estimate
from genlib.evaluation.scoring.reference import chunks_of, labels_of
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.storage.files import read_json, sha256_of_json, write_json

VERSION = 2  # another number where a metric is computed in another way


def floor_of(scorer: SampleScorer, count: int) -> dict[str, Estimate]:
    """The metrics of `count` test images; scored by all processes together unless they are kept already."""
    file = floor_file(scorer, count)
    kept = scorer.processes.first(lambda: read_json(file) if file.exists() else None)
    if kept is not None:
        try:
            return {name: Estimate(**estimate) for name, estimate in kept.items()}
        except (AttributeError, TypeError) as error:
            raise UserError(f"{file} is damaged ({error}); delete it to score the test images again.") from error
    rows = scorer.held_out.rows
    chunk, labels = chunks_of(scorer.dataset, "test", rows), labels_of(scorer.dataset, "test", rows)
    floor = scorer(chunk, count, "test images", labels, held_out=True).metrics
    if all(math.isfinite(estimate.value) for estimate in floor.values()):
        scorer.processes.first(lambda: write_json(file, {name: asdict(value) for name, value in floor.items()}))
    return floor


def floor_file(scorer: SampleScorer, count: int) -> Path:
    return file_of(scorer, "floor", key_of(scorer, count))


def file_of(scorer: SampleScorer, what: str, key: dict[str, Any]) -> Path:
    """The file of kept scores, beside the dataset."""
    return scorer.dataset.path / f"{what}-{scorer.extractors.main.name}-{sha256_of_json(key)[:12]}.json"


def key_of(scorer: SampleScorer, count: int) -> dict[str, Any]:
    """All that decides the metrics of `count` images, but for the images; JSON."""
    key: dict[str, Any] = {
        "version": VERSION,
        "dataset": scorer.dataset.manifest.content_hash,
        "extractors": [[extractor.name, extractor.hash, extractor.facts] for extractor in scorer.looking],
        "count": count,
        "neighbours": [scorer.asked.neighbours, scorer.neighbour_count],
        "thorough": scorer.thorough,
    }
    if others := {name: metric.definition for name, metric in metrics().items() if origin_of(metric) != "genlib"}:
        key["metrics"] = others  # a plugin that comes, or changes a metric, has a floor of its own
    return key
