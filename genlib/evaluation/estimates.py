"""A metric is a value with an error, a count and a floor; free of torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A value from `count` images, and its standard error over these where there is one."""

    value: float
    count: int
    standard_error: float | None = None


def over_images(values: Tensor) -> Estimate:
    """Mean and standard error of a value for each image, (N,)."""
    return Estimate(values.mean().item(), len(values), (values.std() / len(values) ** 0.5).item())


@dataclass(frozen=True)
class Findings:
    """Metrics of a model, with details and floors."""

    metrics: dict[str, Estimate] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # JSON: whatever is more than a number
    floor: dict[str, Estimate] = field(default_factory=dict)  # of the metrics that have one

    def __or__(self, other: Findings) -> Findings:
        return Findings(self.metrics | other.metrics, self.details | other.details, self.floor | other.floor)


def measured(
    repetitions: Sequence[Mapping[str, Estimate]],
    floor: Mapping[str, Estimate],
    baseline: Sequence[Mapping[str, Estimate]] = (),
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """The metrics of evaluation.json from one set of estimates for each sampling seed; and what is not finite.

    `value` is the mean over the seeds, `std` their sample standard deviation (None for a single one), `standard_error`
    that of one seed's value (all seeds meet the same real images, so their mean's is hardly smaller), `floor` the value
    of real images where it was measured. `baseline` and `baseline_std` are mean and standard deviation of the
    baseline's sets, where it was measured.
    A metric that is NaN or infinite for any seed is left out, lest a gate see it; so is one that a seed lacks.
    """
    beside = measured(baseline, {})[0] if baseline else {}
    metrics: dict[str, dict[str, Any]] = {}
    broken: dict[str, float] = {}
    for name in dict.fromkeys(name for repetition in repetitions for name in repetition):
        values = [repetition[name].value if name in repetition else math.nan for repetition in repetitions]
        if not all(map(math.isfinite, values)):
            broken[name] = next(value for value in values if not math.isfinite(value))
            continue
        entry: dict[str, Any] = {
            "value": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
            "floor": finite_or_none(floor[name].value if name in floor else None),
            "baseline": beside[name]["value"] if name in beside else None,
            "baseline_std": beside[name]["std"] if name in beside else None,
            "count": repetitions[0][name].count,
        }
        errors = [repetition[name].standard_error for repetition in repetitions]
        known = [error for error in errors if error is not None and math.isfinite(error)]
        if len(known) == len(errors):
            entry["standard_error"] = math.hypot(*known) / len(known) ** 0.5
        metrics[name] = entry
    return metrics, broken


def values_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """{name: value} of an evaluation.json."""
    return {name: entry["value"] for name, entry in evaluation.get("metrics", {}).items()}


def floors_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """{name: floor} of an evaluation.json, where there is one."""
    entries = evaluation.get("metrics", {}).items()
    return {name: entry["floor"] for name, entry in entries if entry["floor"] is not None}


def baselines_of(evaluation: Mapping[str, Any], part: str = "baseline") -> dict[str, float]:
    """{name: value of the baseline} of an evaluation.json, where there is one; with `part` "baseline_std" its standard
    deviation over the sampling seeds. Evaluations of earlier versions have none.
    """
    entries = evaluation.get("metrics", {}).items()
    return {name: entry[part] for name, entry in entries if entry.get(part) is not None}


def deviations_of(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """{name: standard deviation over the sampling seeds} of an evaluation.json, where there is one."""
    entries = evaluation.get("metrics", {}).items()
    return {name: entry["std"] for name, entry in entries if entry["std"] is not None}


def numbers_only(content: Any) -> Any:
    """JSON with None in the place of numbers that JSON does not have."""
    if isinstance(content, dict):
        return {name: numbers_only(part) for name, part in content.items()}
    if isinstance(content, list):
        return [numbers_only(part) for part in content]
    return finite_or_none(content) if isinstance(content, float) else content


def finite_or_none(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
