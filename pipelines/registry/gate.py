"""The gate between challenger and champion: a pure function of two evaluations."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy.special import stdtrit

from genlib.config.metrics import direction_of
from pipelines.registry.scores import Scores, is_of_samples, matters

CHAMPION, CHALLENGER = "champion", "challenger"  # aliases in the registry
BASELINE = "baseline"
CONFIDENCE = 0.95  # that the seeds alone do not explain a difference


class GateResult(NamedTuple):
    """Whether a version passes the gate, and why."""

    passes: bool
    reason: str
    improvement: float | None = None  # on the champion, positive where the candidate is better; None: not compared
    spread: float = 0.0  # the part of it that the sampling seeds may explain


def compare_at_gate(
    metric: str, margin: float, candidate: Scores, champion: Scores | None, rival: str = CHAMPION
) -> GateResult:
    """Whether the candidate becomes champion: its metric is finite, and better than the champion's by more than the
    margin and by more than `spread_of_seeds`.

    The first version needs no more than a finite metric. Values measured in different ways are not compared. `rival` is
    what the reason calls the other version: the same comparison decides who is challenger.
    """
    if not has(candidate, metric):
        return GateResult(False, f"its {metric} is {shown(candidate, metric)}, and must be a finite number")
    value = candidate.metrics[metric]
    if champion is None:
        return GateResult(True, f"the first version, {metric} {value:.4g}")
    if others := differing(metric, candidate, champion):
        return GateResult(False, f"not comparable: the {rival} was evaluated with another {' and '.join(others)}")
    if not has(champion, metric):
        return GateResult(False, f"not comparable: the {rival}'s {metric} is {shown(champion, metric)}")
    best = champion.metrics[metric]
    improvement = best - value if direction_of(metric) == "lower" else value - best
    spread = spread_of_seeds(metric, candidate, champion)
    needed = max(margin, spread)
    better = improvement > needed
    reason = f"{metric} {value:.4g} is {'' if improvement > 0 else 'not '}better than the {rival}'s {best:.4g}"
    if improvement > 0 and needed > 0:
        what = "the margin" if margin >= spread else "the spread over sampling seeds"
        reason += f" by {improvement:.4g}, {'more than' if better else 'but it takes more than'} {needed:.4g} ({what})"
    return GateResult(better, reason, improvement, spread)


def compare_with_baseline(metric: str, candidate: Scores) -> GateResult | None:
    """Whether the candidate is better than the baseline by more than `spread_of_seeds`; None where the baseline was not
    measured.
    """
    if not has(candidate, metric) or metric not in candidate.baseline:
        return None
    baseline = Scores(candidate.baseline, candidate.basis, candidate.baseline_std)
    return compare_at_gate(metric, 0.0, candidate, baseline, BASELINE)


def require_baseline(metric: str, candidate: Scores, result: GateResult) -> GateResult:
    """The gate's result for a candidate that must beat the baseline too (registry.baseline: require)."""
    if not result.passes:
        return result
    against = compare_with_baseline(metric, candidate)
    if against is None:
        return result._replace(passes=False, reason=f"its evaluation has no baseline of {metric}, which is required")
    if not against.passes:
        return result._replace(passes=False, reason=f"{against.reason}, which is required")
    return result


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
    result = compare_at_gate(metric, margin, scores, held, CHALLENGER)
    if result.passes:
        return True, [f"{wins} takes the place of version {holder} as challenger: {result.reason}"]
    return False, [f"{loses}, since version {holder} stays challenger: {result.reason}"]


def has(scores: Scores, metric: str) -> bool:
    """Whether the metric was measured, and is a finite number."""
    return math.isfinite(scores.metrics.get(metric, math.nan))


def differing(metric: str, candidate: Scores, champion: Scores) -> list[str]:
    """The settings that the metric depends on and that differ between both evaluations."""
    return [
        name
        for name in dict.fromkeys([*candidate.basis, *champion.basis])
        if candidate.basis.get(name) != champion.basis.get(name) and matters(name, metric)
    ]


def spread_of_seeds(metric: str, candidate: Scores, champion: Scores) -> float:
    """The improvement that equal models show over their sampling seeds in one case of twenty.

    Welch's test (1947), one-sided: t * sqrt(s1²/n + s2²/n), where s are the standard deviations over n seeds and t is
    Student's quantile at (n - 1) (s1² + s2²)² / (s1⁴ + s2⁴) degrees of freedom. 0 for a single seed, and for metrics of
    test images, which no seed has a part in.
    """
    first, second = candidate.std.get(metric), champion.std.get(metric)
    count = candidate.seeds
    if not is_of_samples(metric) or first is None or second is None or count < 2:
        return 0.0
    both = math.hypot(first, second)
    if both == 0:
        return 0.0
    freedom = (count - 1) / ((first / both) ** 4 + (second / both) ** 4)
    return float(stdtrit(freedom, CONFIDENCE)) * both / math.sqrt(count)


def shown(scores: Scores, metric: str) -> str:
    return str(scores.metrics[metric]) if metric in scores.metrics else "missing"
