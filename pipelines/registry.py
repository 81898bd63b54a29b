"""A trained run becomes a version of its model in MLflow's registry, and passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from genlib.config import RegistryConfig
from pipelines.decision import Decision
from pipelines.gate import differing, judge
from pipelines.packaging import log_sampler
from pipelines.promotion import make_champion, registry_lock
from pipelines.scores import Scores, as_tags, from_tags, is_current, scores_of
from pipelines.versions import CHALLENGER, CHAMPION, aliases_of, champion_of, history_of, versions_of


class Registered(NamedTuple):
    version: str
    alias: str
    reason: str
    decision: str = ""  # Markdown: the reason with both tables


class NotJudged(Exception):
    """Why a champion cannot be judged as the candidate was: a clause for the gate's reason."""


JudgeAgain = Callable[[ModelVersion], Scores]  # what a champion gets where the candidate was judged


def register(
    config: RegistryConfig,
    run_id: str,
    sampler: Path,
    evaluation: dict[str, Any],
    tags: dict[str, str],
    judge_again: JudgeAgain,
    remarks: Sequence[str] = (),
) -> Registered:
    """Register a run's exported sampler, and let the gate decide on its alias. Calling again for a run is harmless.

    `judge_again` judges the champion as the candidate was, where that was done in another way, or raises NotJudged.
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
    return pass_gate(client, config, str(version.version), judge_again, remarks)


def pass_gate(
    client: MlflowClient, config: RegistryConfig, version: str, judge_again: JudgeAgain, remarks: Sequence[str] = ()
) -> Registered:
    """Give the version its alias, and write the decision into its tags and description.

    A champion is judged again without the lock, since that takes long, and looked for again with it.
    """
    candidate = from_tags(client.get_model_version(config.model, version).tags)
    judged: dict[str, Champion] = {}
    move = decision = None
    while decision is None:
        with registry_lock():
            model = client.get_registered_model(config.model)
            name = champion_of(model)
            if name == version:  # an earlier attempt moved the alias, and failed before it said so
                name = history_of(model)[-1]["previous"]
            champion = judged.get(name or "") or known_champion(client, config, name, candidate)
            if champion is not None:
                verdict = judge(config.metric, config.margin, candidate, champion.scores)
                remarks = [*remarks, *champion.remarks]
                decision = Decision(config.metric, config.margin, verdict, candidate, champion.scores, name, remarks)
                if verdict.champion and champion_of(model) != version:
                    move = make_champion(client, model, version, "gate")
                elif not verdict.champion:
                    client.set_registered_model_alias(config.model, CHALLENGER, version)
                write(client, config.model, version, decision)
        if decision is None:
            assert name is not None
            judged[name] = champion_judged_again(client, config, name, candidate, judge_again)
    if move:
        move.announce()
    alias = CHAMPION if decision.verdict.champion else CHALLENGER
    return Registered(version, alias, decision.reason, decision.markdown())


class Champion(NamedTuple):
    """Whom the candidate is compared with."""

    scores: Scores | None  # None: there is none
    remarks: Sequence[str] = ()  # on how it was judged


def known_champion(
    client: MlflowClient, config: RegistryConfig, name: str | None, candidate: Scores
) -> Champion | None:
    """As it was judged when it was registered; None where that was in another way than the candidate."""
    if name is None:
        return Champion(None)
    scores = from_tags(client.get_model_version(config.model, name).tags)
    return None if differing(config.metric, candidate, scores) else Champion(scores)


def champion_judged_again(
    client: MlflowClient, config: RegistryConfig, name: str, candidate: Scores, judge_again: JudgeAgain
) -> Champion:
    version = client.get_model_version(config.model, name)
    scores = from_tags(version.tags)
    others = " and ".join(differing(config.metric, candidate, scores))
    try:
        return Champion(judge_again(version), [f"the champion, evaluated with another {others}, was evaluated again"])
    except NotJudged as error:
        return Champion(scores, [f"it cannot be evaluated again: {error}"])


def write(client: MlflowClient, name: str, version: str, decision: Decision) -> None:
    client.update_model_version(name, version, decision.markdown())
    for tag, value in decision.tags().items():
        client.set_model_version_tag(name, version, tag, value)


def champion_version(name: str) -> ModelVersion | None:
    """None where there is none yet."""
    client = MlflowClient()
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        return None
    version = champion_of(client.get_registered_model(name))
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
