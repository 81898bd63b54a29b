"""A trained run becomes a version of its model in MLflow's registry, and passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from genlib.config.training import RegistryConfig
from pipelines.registry.gate import (
    CHALLENGER,
    CHAMPION,
    challenge,
    compare_at_gate,
    compare_with_baseline,
    differing,
    has,
    require_baseline,
)
from pipelines.registry.gate_report import GateReport
from pipelines.registry.promotion import Move, make_champion, registry_lock
from pipelines.registry.scores import Scores, as_tags, from_tags, is_current, scores_of
from pipelines.registry.versions import aliases_of, challenger_of, champion_of, history_of, model_or_none, standing
from pipelines.serving.packaging import log_sampler
from pipelines.tracking.queries import versions_of


class Registered(NamedTuple):
    version: str
    alias: str  # "" for none
    reason: str
    decision: str = ""  # Markdown: the reason with both tables

    @property
    def standing(self) -> str:
        return standing(self.alias)


class NotComparable(Exception):
    """Why a version cannot be evaluated as the candidate was: a clause for the gate's reason."""


EvaluateAgain = Callable[[ModelVersion], Scores]  # a version, evaluated as the candidate was


def register(
    config: RegistryConfig,
    run_id: str,
    sampler: Path,
    evaluation: dict[str, Any],
    tags: dict[str, str],
    evaluate_again: EvaluateAgain,
    remarks: Sequence[str] = (),
) -> Registered:
    """Register a run's exported sampler, and let the gate decide on its alias. Calling again for a run is harmless.

    `evaluate_again` evaluates a champion or challenger as the candidate was, where it was in another way, or raises
    NotComparable.
    """
    client = MlflowClient()
    try:
        client.create_registered_model(config.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = [version for version in versions_of(client, config.model) if version.run_id == run_id]
    if known and "gate" in known[0].tags:
        version, aliases = known[0], aliases_of(client.get_registered_model(config.model))
        number = str(version.version)
        return Registered(number, aliases.get(number, ""), version.tags["gate"], version.description or "")
    if known:
        version = known[0]
    else:
        logged = log_sampler(run_id, sampler)
        tags = tags | as_tags(scores_of(evaluation))
        version = client.create_model_version(
            config.model, logged.model_uri, run_id, tags=tags, model_id=logged.model_id
        )
    return pass_gate(client, config, str(version.version), evaluate_again, remarks)


class Rival(NamedTuple):
    """A version that the candidate, or the former champion, is compared with."""

    scores: Scores
    remarks: Sequence[str] = ()  # on how it was evaluated


def pass_gate(
    client: MlflowClient,
    config: RegistryConfig,
    version: str,
    evaluate_again: EvaluateAgain,
    remarks: Sequence[str] = (),
) -> Registered:
    """Give the version its alias, if it earns one, and write the gate's report into its tags and description.

    Champion and challenger are evaluated again without the lock, since that takes long, and looked for again with it.
    """
    candidate = from_tags(client.get_model_version(config.model, version).tags)
    again: dict[str, Rival] = {}
    while True:
        with registry_lock():
            model = client.get_registered_model(config.model)
            rivals: dict[str, Rival] = {}
            unknown = None
            for name in (champion_before(model, version), challenger_of(model)):
                if name is None or name == version:
                    continue
                rival = again.get(name) or known_rival(client, config, name, candidate)
                if rival is None:
                    unknown = name
                    break
                rivals[name] = rival
            if unknown is None:
                report, move = decide(client, config, model, version, candidate, rivals, remarks)
                write(client, config.model, version, report)
                break
        alias = CHALLENGER if unknown == challenger_of(model) else CHAMPION
        again[unknown] = rival_evaluated_again(client, config, unknown, alias, candidate, evaluate_again)
    if move:
        move.announce()
    return Registered(version, report.alias, report.reason, report.markdown())


def champion_before(model: RegisteredModel, version: str) -> str | None:
    """The champion; where an earlier attempt has made the version champion already, the champion before it."""
    champion = champion_of(model)
    return history_of(model)[-1]["previous"] if champion == version else champion


def decide(
    client: MlflowClient,
    config: RegistryConfig,
    model: RegisteredModel,
    version: str,
    candidate: Scores,
    rivals: Mapping[str, Rival],
    remarks: Sequence[str],
) -> tuple[GateReport, Move | None]:
    """Move the aliases: the better of candidate and champion is champion, and the other one may become challenger.

    The caller holds the lock. The challenger is the best version that is not champion, by the same comparison.
    """
    champion, challenger = champion_before(model, version), challenger_of(model)
    best = rivals[champion].scores if champion else None
    result = compare_at_gate(config.metric, config.margin, candidate, best)
    said = [*remarks, *(rivals[champion].remarks if champion else ())]
    if config.baseline == "require":
        result = require_baseline(config.metric, candidate, result)
    elif config.baseline == "warn":
        against = compare_with_baseline(config.metric, candidate)
        if against and not against.passes:
            said.append(f"it does not beat the baseline, a Gaussian mixture: {against.reason}")
    move = None
    if result.passes and champion_of(model) != version:
        move = make_champion(client, model, version, "gate")
    alias = CHAMPION if result.passes else ""
    loser, scores = (champion, best) if result.passes else (version, candidate)
    if loser is not None and scores is not None:
        holder = challenger if challenger not in (version, loser) else None
        held = rivals[holder] if holder else None
        wins, remark = challenge(
            config.metric, config.margin, loser, scores, holder, held and held.scores, loser == version
        )
        if wins:
            client.set_registered_model_alias(model.name, CHALLENGER, loser)
            alias = alias or CHALLENGER
        said += [*(held.remarks if held else ()), *remark]
    return GateReport(config.metric, config.margin, result, candidate, best, champion, alias, said), move


def known_rival(client: MlflowClient, config: RegistryConfig, name: str, candidate: Scores) -> Rival | None:
    """A rival with the scores of its registration; None where it was evaluated in another way than the candidate, which
    matters only if the candidate has a value to compare.
    """
    scores = from_tags(client.get_model_version(config.model, name).tags)
    differs = has(candidate, config.metric) and differing(config.metric, candidate, scores)
    return None if differs else Rival(scores)


def rival_evaluated_again(
    client: MlflowClient,
    config: RegistryConfig,
    name: str,
    alias: str,
    candidate: Scores,
    evaluate_again: EvaluateAgain,
) -> Rival:
    version = client.get_model_version(config.model, name)
    scores = from_tags(version.tags)
    others = " and ".join(differing(config.metric, candidate, scores))
    try:
        return Rival(evaluate_again(version), [f"the {alias}, evaluated with another {others}, was evaluated again"])
    except NotComparable as error:
        which = "it" if alias == CHAMPION else f"the {alias}"
        return Rival(scores, [f"{which} cannot be evaluated again: {error}"])


def write(client: MlflowClient, name: str, version: str, report: GateReport) -> None:
    client.update_model_version(name, version, report.markdown())
    for tag, value in report.tags().items():
        client.set_model_version_tag(name, version, tag, value)


def champion_version(name: str) -> ModelVersion | None:
    """The champion's version of a model; None where there is none yet."""
    client = MlflowClient()
    model = model_or_none(client, name)
    version = model and champion_of(model)
    return client.get_model_version(name, version) if version else None


def champion_for_report(name: str) -> dict[str, Any] | None:
    """The champion as a report compares with it: {"model", "version", "metrics"}, the last without what has another
    definition now; None where there is none yet.
    """
    version = champion_version(name)
    if version is None:
        return None
    scores = from_tags(version.tags)
    metrics = {metric: value for metric, value in scores.metrics.items() if is_current(scores, metric)}
    return {"model": name, "version": str(version.version), "metrics": metrics}
