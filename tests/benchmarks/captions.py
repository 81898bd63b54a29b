"""Whether images drawn for captions show what they say, and the model knows captions better than pairs of words do."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tests.benchmarks.properties import Row, judged, row_of

SAID = {"caption_classes": "0.9 or more", "caption_places": "0.8 or more", "caption_looks": ""}
OTHERS = ("test images", "training image of the nearest caption")  # than samples


def measure_captions() -> list[Row]:
    """Of one training, on all cores: it takes longer than all others."""
    with tempfile.TemporaryDirectory() as folder:
        run = judged(Path(folder) / "captions", "captions_digits", [], 0, threads=os.cpu_count() or 1)
        return rows(json.loads((run / "evaluation.json").read_text())["details"]["baselines"])


def rows(found: dict[str, dict[str, float]]) -> list[Row]:
    """Of evaluation.json's baselines."""
    table = [
        row_of(f"{name} of {what}", [found[what][name]], wanted if what == "samples" else "")
        for name, wanted in SAID.items()
        for what in ("samples", *OTHERS)
    ]
    ours, bigrams = (found[what]["caption_perplexity"] for what in ("samples", "bigrams"))
    table += [row_of("perplexity of held-out captions", [ours], ""), row_of("that of bigrams", [bigrams], "")]
    return [*table, row_of("perplexity / that of bigrams", [ours / bigrams], "below 1", most=True)]
