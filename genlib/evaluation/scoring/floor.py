"""The real-data floor: held-out images in the place of samples, judged once and kept beside the dataset."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

from genlib.errors import UserError
from genlib.evaluation.estimates import Estimate
from genlib.evaluation.scoring.reference import chunks_of, labels_of
from genlib.evaluation.scoring.samples import Judge
from genlib.storage.files import read_json, sha256_of_json, write_json

VERSION = 2  # another number where a metric is computed in another way


def floor_of(judge: Judge, count: int) -> dict[str, Estimate]:
    """The metrics of `count` test images; judged by all processes together unless they are kept already."""
    file = floor_file(judge, count)
    kept = judge.processes.first(lambda: read_json(file) if file.exists() else None)
    if kept is not None:
        try:
            return {name: Estimate(**estimate) for name, estimate in kept.items()}
        except (AttributeError, TypeError) as error:
            raise UserError(f"{file} is damaged ({error}); delete it to judge the test images again.") from error
    rows = judge.held_out.rows
    chunk, labels = chunks_of(judge.dataset, "test", rows), labels_of(judge.dataset, "test", rows)
    floor = judge(chunk, count, "test images", labels, held_out=True).metrics
    if all(math.isfinite(estimate.value) for estimate in floor.values()):
        judge.processes.first(lambda: write_json(file, {name: asdict(value) for name, value in floor.items()}))
    return floor


def floor_file(judge: Judge, count: int) -> Path:
    key = {
        "version": VERSION,
        "dataset": judge.dataset.manifest.content_hash,
        "extractors": [[extractor.name, extractor.hash, extractor.facts] for extractor in judge.extractors],
        "count": count,
        "neighbours": [judge.asked.neighbours, judge.neighbour_count],
        "thorough": judge.thorough,
    }
    return judge.dataset.path / f"floor-{judge.panel.main.name}-{sha256_of_json(key)[:12]}.json"
