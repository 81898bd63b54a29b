"""What the gate must know of an evaluation, and its place among the tags of a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from genlib.config.metrics import DEFINITIONS
from genlib.evaluation.estimates import deviations_of, floors_of, values_of

SEEDS = "set of seeds"
NO_SEEDS = "none"


class Scores(NamedTuple):
    """One version's evaluation."""

    metrics: Mapping[str, float]
    basis: Mapping[str, str]  # what two values must have in common to be comparable, such as the extractor's hash
    std: Mapping[str, float] = {}  # over the sampling seeds
    floor: Mapping[str, float] = {}  # of real images

    @property
    def seeds(self) -> int:
        """How many sampling seeds the metrics of samples are the means of."""
        known = self.basis.get(SEEDS, NO_SEEDS)
        return 0 if known == NO_SEEDS else len(known.split(", "))


def scores_of(evaluation: dict[str, Any]) -> Scores:
    """Of an evaluation.json."""
    return Scores(values_of(evaluation), basis_of(evaluation), deviations_of(evaluation), floors_of(evaluation))


def basis_of(evaluation: dict[str, Any]) -> dict[str, str]:
    """What two evaluations must share for their values to be comparable."""
    provenance = evaluation["provenance"]
    likelihood = provenance["likelihood"] or {}
    held_out = likelihood or provenance.get("reconstructions") or {}
    return {
        "extractor": provenance["extractor"]["hash"],
        "dataset": provenance["dataset_hash"],
        "number of samples": str(provenance["samples"]["count"]),
        SEEDS: ", ".join(map(str, provenance["samples"].get("seeds", []))) or NO_SEEDS,
        "number of neighbours": str(provenance["neighbours"]["k"]),
        "number of test images": str(held_out.get("count", "none")),
        "number of importance samples": str(likelihood.get("importance_samples", "none")),
        "kind of likelihood": str(likelihood.get("pixels", "none")),
        **{definition_of(name): str(number) for name, number in provenance.get("definitions", {}).items()},
    }


def definition_of(metric: str) -> str:
    """The name, in a basis, of a metric's definition."""
    return f"definition of {metric}"


def is_current(scores: Scores, metric: str) -> bool:
    """Whether the metric was computed as it is defined now."""
    return scores.basis.get(definition_of(metric), "1") == str(DEFINITIONS.get(metric, 1))


def as_tags(scores: Scores) -> dict[str, str]:
    numbers = {"metric": scores.metrics, "std": scores.std, "floor": scores.floor}
    tags = {f"{part}.{name}": repr(value) for part, values in numbers.items() for name, value in values.items()}
    return tags | {f"basis.{name}": value for name, value in scores.basis.items()}


def from_tags(tags: Mapping[str, str]) -> Scores:
    def numbers(part: str) -> dict[str, float]:
        return {name: float(value) for name, value in under(part).items()}

    def under(part: str) -> dict[str, str]:
        return {name.removeprefix(f"{part}."): tags[name] for name in tags if name.startswith(f"{part}.")}

    return Scores(numbers("metric"), under("basis"), numbers("std"), numbers("floor"))
