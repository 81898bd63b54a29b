"""The gate between challenger and champion: a pure function of two evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from genlib.config import LIKELIHOODS, METRICS, RECONSTRUCTIONS

OF_TEST_IMAGES = LIKELIHOODS.keys() | RECONSTRUCTIONS.keys()
OF_SAMPLES = METRICS.keys() - OF_TEST_IMAGES
# The metrics that a setting has a part in; others may be compared whatever it is.
MATTERS_FOR = {
    "extractor": OF_SAMPLES,
    "number of samples": OF_SAMPLES,
    "number of neighbours": {"precision", "recall", "density", "coverage"},
    "number of test images": OF_TEST_IMAGES,
    "number of importance samples": {"log_likelihood", "bits_per_dim"},
    "kind of likelihood": {"elbo", "log_likelihood", "bits_per_dim"},
}


class Scores(NamedTuple):
    """One version's evaluation, as far as the gate needs it."""

    metrics: Mapping[str, float]
    basis: Mapping[str, str]  # what two values must have in common to be comparable, such as the extractor's hash


class Verdict(NamedTuple):
    champion: bool
    reason: str


def judge(metric: str, margin: float, candidate: Scores, champion: Scores | None) -> Verdict:
    """Whether the candidate becomes champion: its metric is finite, and better than the champion's by the margin.

    The first version needs no more than a finite metric. Values measured in different ways are not compared.
    """
    value = candidate.metrics.get(metric, math.nan)
    if not math.isfinite(value):
        return Verdict(False, f"its {metric} is {shown(candidate, metric)}, and must be a finite number")
    if champion is None:
        return Verdict(True, f"the first version, {metric} {value:.4g}")
    differing = [
        name
        for name in candidate.basis
        if candidate.basis[name] != champion.basis.get(name) and metric in MATTERS_FOR.get(name, METRICS)
    ]
    if differing:
        return Verdict(False, f"not comparable: the champion was evaluated with another {' and '.join(differing)}")
    best = champion.metrics.get(metric, math.nan)
    if not math.isfinite(best):
        return Verdict(False, f"not comparable: the champion's {metric} is {shown(champion, metric)}")
    improvement = best - value if METRICS[metric] == "lower" else value - best
    better = improvement > 0 and improvement >= margin
    needed = f" by {margin:g}" if margin else ""
    verb = "is" if better else "is not"
    return Verdict(better, f"{metric} {value:.4g} {verb} better{needed} than the champion's {best:.4g}")


def shown(scores: Scores, metric: str) -> str:
    return str(scores.metrics[metric]) if metric in scores.metrics else "missing"
