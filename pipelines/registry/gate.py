"""The gate between challenger and champion: a pure function of two evaluations."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import stdtrit

from genlib.config.metrics import DEFINITIONS, LIKELIHOODS, METRICS, RECONSTRUCTIONS
from pipelines.registry.scores import SEEDS, Scores, definition_of

CHAMPION, CHALLENGER = "champion", "challenger"  # aliases in the registry
OF_TEST_IMAGES = LIKELIHOODS.keys() | RECONSTRUCTIONS.keys()
OF_SAMPLES = METRICS.keys() - OF_TEST_IMAGES
# The metrics that a setting has a part in; others may be compared whatever it is.
MATTERS_FOR = {
    "extractor": OF_SAMPLES,
    "number of samples": OF_SAMPLES,
    SEEDS: OF_SAMPLES,
    "number of neighbours": {"precision", "recall", "density", "coverage"},
    "number of test images": OF_TEST_IMAGES,
    "number of importance samples": {"log_likelihood", "bits_per_dim"},
    "kind of likelihood": {"elbo", "log_likelihood", "bits_per_dim"},
    **{definition_of(name): {name} for name in DEFINITIONS},
}
CONFIDENCE = 0.95  # that the seeds alone do not explain a difference


class Verdict(NamedTuple):
    champion: bool
    reason: str
    improvement: float | None = None  # on the champion, positive where the candidate is better; None: not compared
    spread: float = 0.0  # what the sampling seeds may explain of it


def judge(metric: str, margin: float, candidate: Scores, champion: Scores | None, rival: str = CHAMPION) -> Verdict:
    """Whether the candidate becomes champion: its metric is finite, and better than the champion's by more than the
    margin and by more than `spread_of_seeds`.

    The first version needs no more than a finite metric. Values measured in different ways are not compared. `rival` is
    what the reason calls the other version: the same comparison decides who is challenger.
    """
    if not has(candidate, metric):
        return Verdict(False, f"its {metric} is {shown(candidate, metric)}, and must be a finite number")
    value = candidate.metrics[metric]
    if champion is None:
        return Verdict(True, f"the first version, {metric} {value:.4g}")
    if others := differing(metric, candidate, champion):
        return Verdict(False, f"not comparable: the {rival} was evaluated with another {' and '.join(others)}")
    if not has(champion, metric):
        return Verdict(False, f"not comparable: the {rival}'s {metric} is {shown(champion, metric)}")
    best = champion.metrics[metric]
    improvement = best - value if METRICS[metric] == "lower" else value - best
    spread = spread_of_seeds(metric, candidate, champion)
    needed = max(margin, spread)
    better = improvement > needed
    reason = f"{metric} {value:.4g} is {'' if improvement > 0 else 'not '}better than the {rival}'s {best:.4g}"
    if improvement > 0 and needed > 0:
        what = "the margin" if margin >= spread else "the spread over sampling seeds"
        reason += f" by {improvement:.4g}, {'more than' if better else 'but it takes more than'} {needed:.4g} ({what})"
    return Verdict(better, reason, improvement, spread)


def challenge(
    metric: str, margin: float, loser: str, scores: Scores, holder: str | None, held: Scores | None, is_candidate: bool
) -> tuple[bool, list[str]]:
    """Whether the version that is not champion becomes challenger, and clauses of the gate's reason that tell of it.

    The `holder` of the alias, if there is one, keeps it against a version that is not better by the gate's comparison.
    """
    loses, wins = f"version {loser}, the former champion, gets no alias", f"version {loser}, the former champion,"
    if is_candidate:
        loses, wins = "it gets no alias", "it"
    if not has(scores, metric):
        return False, [loses]
    if holder is None or held is None:
        return True, [] if is_candidate else [f"{wins} is the challenger now"]
    if not has(held, metric):
        return True, [f"{wins} takes the place of version {holder} as challenger, whose {metric} is no finite number"]
    verdict = judge(metric, margin, scores, held, CHALLENGER)
    if verdict.champion:
        return True, [f"{wins} takes the place of version {holder} as challenger: {verdict.reason}"]
    return False, [f"{loses}, since version {holder} stays challenger: {verdict.reason}"]


def has(scores: Scores, metric: str) -> bool:
    """Whether the metric was measured, and is a finite number."""
    return math.isfinite(scores.metrics.get(metric, math.nan))


def differing(metric: str, candidate: Scores, champion: Scores) -> list[str]:
    """What the metric depends on and is not the same in both evaluations."""
    return [
        name
        for name in dict.fromkeys([*candidate.basis, *champion.basis])
        if candidate.basis.get(name) != champion.basis.get(name) and metric in MATTERS_FOR.get(name, METRICS)
    ]


def spread_of_seeds(metric: str, candidate: Scores, champion: Scores) -> float:
    """The improvement that equal models show over their sampling seeds in one case of twenty.

    Welch's test (1947), one-sided: t * sqrt(s1²/n + s2²/n), where s are the standard deviations over n seeds and t is
    Student's quantile at (n - 1) (s1² + s2²)² / (s1⁴ + s2⁴) degrees of freedom. 0 for a single seed, and for metrics of
    test images, which no seed has a part in.
    """
    first, second = candidate.std.get(metric), champion.std.get(metric)
    count = candidate.seeds
    if metric in OF_TEST_IMAGES or first is None or second is None or count < 2:
        return 0.0
    both = math.hypot(first, second)
    if both == 0:
        return 0.0
    freedom = (count - 1) / ((first / both) ** 4 + (second / both) ** 4)
    return float(stdtrit(freedom, CONFIDENCE)) * both / math.sqrt(count)


def shown(scores: Scores, metric: str) -> str:
    return str(scores.metrics[metric]) if metric in scores.metrics else "missing"
