"""The scores of an evaluation that the gate compares, and their place among the tags of a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from genlib.config.metrics import IMPORTANCE_SAMPLES, NEIGHBOURS, PIXELS, metrics
from genlib.config.metrics import definition_of as present_definition
from genlib.evaluation.estimates import baselines_of, deviations_of, floors_of, values_of

EXTRACTOR, SAMPLES, TEST_IMAGES, SEEDS = "extractor", "number of samples", "number of test images", "set of seeds"
NO_SEEDS = "none"
DEFINITION = "definition of "


class Scores(NamedTuple):
    """One version's evaluation."""

    metrics: Mapping[str, float]
    basis: Mapping[str, str]  # settings that two values must share to be comparable, such as the extractor's hash
    std: Mapping[str, float] = {}  # over the sampling seeds
    floor: Mapping[str, float] = {}  # of real images
    baseline: Mapping[str, float] = {}  # of a Gaussian mixture
    baseline_std: Mapping[str, float] = {}  # over the sampling seeds

    @property
    def seeds(self) -> int:
        """Number of sampling seeds over which the metrics of samples are means."""
        known = self.basis.get(SEEDS, NO_SEEDS)
        return 0 if known == NO_SEEDS else len(known.split(", "))


def scores_of(evaluation: dict[str, Any]) -> Scores:
    """The scores of an evaluation.json."""
    return Scores(
        values_of(evaluation),
        basis_of(evaluation),
        deviations_of(evaluation),
        floors_of(evaluation),
        baselines_of(evaluation),
        baselines_of(evaluation, "baseline_std"),
    )


def basis_of(evaluation: dict[str, Any]) -> dict[str, str]:
    """The settings that two evaluations must share for their values to be comparable."""
    provenance = evaluation["provenance"]
    likelihood = provenance["likelihood"] or {}
    held_out = likelihood or provenance.get("reconstructions") or {}
    return {
        EXTRACTOR: provenance["extractor"]["hash"],
        "dataset": provenance["dataset_hash"],
        SAMPLES: str(provenance["samples"]["count"]),
        SEEDS: ", ".join(map(str, provenance["samples"].get("seeds", []))) or NO_SEEDS,
        NEIGHBOURS: str(provenance["neighbours"]["k"]),
        TEST_IMAGES: str(held_out.get("count", "none")),
        IMPORTANCE_SAMPLES: str(likelihood.get("importance_samples", "none")),
        PIXELS: str(likelihood.get("pixels", "none")),
        **{definition_of(name): str(number) for name, number in provenance.get("definitions", {}).items()},
    }


def definition_of(metric: str) -> str:
    """The name, in a basis, of a metric's definition."""
    return f"{DEFINITION}{metric}"


def matters(setting: str, metric: str) -> bool:
    """Whether values of the metric are comparable only if the setting, a name in a basis, is the same for both.

    Settings that no metric tells of matter for all.
    """
    if setting.startswith(DEFINITION):
        return setting == definition_of(metric)
    if setting in (EXTRACTOR, SAMPLES, SEEDS):
        return is_of_samples(metric)
    if setting == TEST_IMAGES:
        return not is_of_samples(metric)
    told = {name for known in metrics().values() for name in known.depends_on}
    return setting not in told or (metric in metrics() and setting in metrics()[metric].depends_on)


def is_of_samples(metric: str) -> bool:
    """Whether it is measured of a sampler alone; so is one of a plugin that is not installed taken."""
    return metric not in metrics() or metrics()[metric].is_of_samples


def is_current(scores: Scores, metric: str) -> bool:
    """Whether the metric was computed as it is defined now."""
    return scores.basis.get(definition_of(metric), "1") == str(present_definition(metric))


def as_tags(scores: Scores) -> dict[str, str]:
    numbers = {
        "metric": scores.metrics,
        "std": scores.std,
        "floor": scores.floor,
        "baseline": scores.baseline,
        "baseline_std": scores.baseline_std,
    }
    tags = {f"{part}.{name}": repr(value) for part, values in numbers.items() for name, value in values.items()}
    return tags | {f"basis.{name}": value for name, value in scores.basis.items()}


def from_tags(tags: Mapping[str, str]) -> Scores:
    def numbers(part: str) -> dict[str, float]:
        return {name: float(value) for name, value in under(part).items()}

    def under(part: str) -> dict[str, str]:
        return {name.removeprefix(f"{part}."): tags[name] for name in tags if name.startswith(f"{part}.")}

    return Scores(
        numbers("metric"),
        under("basis"),
        numbers("std"),
        numbers("floor"),
        numbers("baseline"),
        numbers("baseline_std"),
    )
