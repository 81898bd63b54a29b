"""Versions of a model in MLflow's registry, and the two aliases that say which of them counts."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from genlib.config import DISTANCES, KERNEL_DISTANCES, RegistryConfig
from genlib.errors import UserError
from genlib.evaluation.measures import floors_of, values_of
from genlib.home import home
from pipelines.gate import Scores, judge
from pipelines.packaging import log_sampler
from pipelines.text import text_table

CHAMPION, CHALLENGER = "champion", "challenger"
HISTORY = "champion.history"  # tag of the registered model: JSON, oldest first
# Columns of a comparison, where they were measured; the rest is in the MLflow run and its report.
COMPARED = (
    *DISTANCES.values(),
    *KERNEL_DISTANCES.values(),
    *("precision", "recall", "density", "coverage", "authpct", "class_kl", "log_likelihood"),
)
HISTORY_LENGTH = 4500  # characters; MLflow's databases hold 5000


class Registered(NamedTuple):
    version: str
    alias: str
    reason: str


def register(
    config: RegistryConfig, run_id: str, sampler: Path, evaluation: dict[str, Any], tags: dict[str, str]
) -> Registered:
    """Register a run's exported sampler, and let the gate decide on its alias. Calling again for a run is harmless."""
    client = MlflowClient()
    try:
        client.create_registered_model(config.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    known = [version for version in versions_of(client, config.model) if version.run_id == run_id]
    if known and "gate" in known[0].tags:
        aliases = aliases_of(client.get_registered_model(config.model))
        return Registered(str(known[0].version), aliases.get(str(known[0].version), ""), known[0].tags["gate"])
    if known:
        version = known[0].version
    else:
        logged = log_sampler(run_id, sampler)
        scores = {f"metric.{name}": repr(value) for name, value in values_of(evaluation).items()}
        scores |= {f"floor.{name}": repr(value) for name, value in floors_of(evaluation).items()}
        scores |= {f"basis.{name}": value for name, value in basis_of(evaluation).items()}
        version = client.create_model_version(
            config.model, logged.model_uri, run_id, tags=tags | scores, model_id=logged.model_id
        ).version
    return pass_gate(client, config, str(version))


def pass_gate(client: MlflowClient, config: RegistryConfig, version: str) -> Registered:
    """Give the version its alias, and write the reason into its tag `gate`."""
    with registry_lock():
        model = client.get_registered_model(config.model)
        champion = champion_of(model)
        if champion == version:  # an earlier attempt moved the alias, and failed before it said so
            champion = history_of(model)[-1]["previous"]
        verdict = judge(
            config.metric,
            config.margin,
            scores_of(client.get_model_version(config.model, version)),
            scores_of(client.get_model_version(config.model, champion)) if champion else None,
        )
        if verdict.champion and champion_of(model) != version:
            make_champion(client, model, version, "gate")
        elif not verdict.champion:
            client.set_registered_model_alias(config.model, CHALLENGER, version)
        client.set_model_version_tag(config.model, version, "gate", verdict.reason)
    return Registered(version, CHAMPION if verdict.champion else CHALLENGER, verdict.reason)


def promote(name: str, version: str) -> str:
    """Make a version champion by hand; says what was done. UserError for an unknown model or version."""
    client = MlflowClient()
    with registry_lock():
        model, version = existing_model(client, name), existing_version(client, name, version)
        former = champion_of(model)
        if former == version:
            raise UserError(f"{name} version {version} is the champion already; nothing was changed.")
        make_champion(client, model, version, "promote")
    return f"{name}: champion is now version {version}" + (f", was version {former}" if former else "")


def rollback(name: str) -> str:
    """Make the former champion champion again; says where it went. UserError where there is none."""
    client = MlflowClient()
    with registry_lock():
        model = existing_model(client, name)
        current = champion_of(model)
        there = {str(version.version) for version in versions_of(client, name)}
        target = former_champion(history_of(model), current, there)
        if target is None:
            raise UserError(
                f"{name} has no former champion to go back to; use: python -m pipelines promote {name} VERSION"
            )
        make_champion(client, model, target, "rollback")
    return f"{name}: champion is now version {target}, back from version {current}"


def compare(name: str) -> str:
    """A table of a model's versions, newest first."""
    client = MlflowClient()
    aliases = aliases_of(existing_model(client, name))
    versions = versions_of(client, name)
    measured = {metric for version in versions for metric in scores_of(version).metrics}
    metrics = [metric for metric in COMPARED if metric in measured]
    rows = [["version", "alias", *metrics, "dataset", "git commit", "created", "gate"]]
    for version in versions:
        tags = version.tags
        created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
        rows.append(
            [
                str(version.version),
                aliases.get(str(version.version), ""),
                *(value_and_floor(tags, metric) for metric in metrics),
                tags.get("dataset_hash", "unknown")[:12],
                tags.get("git.commit", "unknown")[:12] + (" (dirty)" if tags.get("git.dirty") == "true" else ""),
                f"{created:%Y-%m-%d %H:%M}",
                tags.get("gate", ""),
            ]
        )
    return text_table(rows) + "\n\nIn brackets: the real-data floor. Times are UTC."


def value_and_floor(tags: dict[str, str], metric: str) -> str:
    value, floor = tags.get(f"metric.{metric}"), tags.get(f"floor.{metric}")
    return (f"{float(value):.4g}" if value else "") + (f" ({float(floor):.4g})" if floor else "")


def make_champion(client: MlflowClient, model: RegisteredModel, version: str, how: str) -> None:
    """Move the alias and write the history; the caller holds the lock."""
    entry = {
        "version": version,
        "previous": champion_of(model),
        "how": how,
        "by": user(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    history = [*history_of(model), entry]
    while len(json.dumps(history)) > HISTORY_LENGTH:
        history.pop(0)
    # The history first: a failure in between leaves a line too many, and never a champion without one.
    client.set_registered_model_tag(model.name, HISTORY, json.dumps(history))
    client.set_registered_model_alias(model.name, CHAMPION, version)
    if aliases_of(model).get(version) == CHALLENGER:
        client.delete_registered_model_alias(model.name, CHALLENGER)


def former_champion(history: list[dict[str, str]], current: str | None, there: set[str]) -> str | None:
    """The champion before the current one, of those still there; a rollback undoes the latest step that stands."""
    stack: list[str] = []
    for entry in history:
        if entry["how"] == "rollback":
            while len(stack) > 1 and stack[-1] != entry["version"]:
                stack.pop()
        else:
            stack.append(entry["version"])
    former = [version for version in stack if version in there]
    while former and former[-1] == current:
        former.pop()
    return former[-1] if former else None


def history_of(model: RegisteredModel) -> list[dict[str, str]]:
    return json.loads(model.tags.get(HISTORY, "[]"))


def champion_of(model: RegisteredModel) -> str | None:
    version = model.aliases.get(CHAMPION)
    return str(version) if version is not None else None


def aliases_of(model: RegisteredModel) -> dict[str, str]:
    """Version to alias; a version with several has them in one string."""
    named: dict[str, str] = {}
    for alias, version in sorted(model.aliases.items()):
        named[str(version)] = f"{named[str(version)]}, {alias}" if str(version) in named else alias
    return named


def scores_of(version: ModelVersion) -> Scores:
    tags = version.tags
    return Scores(
        {name.removeprefix("metric."): float(value) for name, value in tags.items() if name.startswith("metric.")},
        {name.removeprefix("basis."): value for name, value in tags.items() if name.startswith("basis.")},
    )


def basis_of(evaluation: dict[str, Any]) -> dict[str, str]:
    """What two evaluations must share for their values to be comparable."""
    provenance = evaluation["provenance"]
    likelihood = provenance["likelihood"] or {}
    held_out = likelihood or provenance.get("reconstructions") or {}
    return {
        "extractor": provenance["extractor"]["hash"],
        "dataset": provenance["dataset_hash"],
        "number of samples": str(provenance["samples"]["count"]),
        "number of neighbours": str(provenance["neighbours"]["k"]),
        "number of test images": str(held_out.get("count", "none")),
        "number of importance samples": str(likelihood.get("importance_samples", "none")),
        "kind of likelihood": str(likelihood.get("pixels", "none")),
    }


def champion_version(name: str) -> ModelVersion | None:
    """None where there is none yet."""
    client = MlflowClient()
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        return None
    version = champion_of(client.get_registered_model(name))
    return client.get_model_version(name, version) if version else None


def champion_for_report(name: str) -> dict[str, Any] | None:
    """The champion as a report compares with it: {"model", "version", "metrics"}; None where there is none yet."""
    version = champion_version(name)
    if version is None:
        return None
    return {"model": name, "version": str(version.version), "metrics": dict(scores_of(version).metrics)}


def existing_model(client: MlflowClient, name: str) -> RegisteredModel:
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        known = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none yet"
        raise UserError(f"model {name!r} is not in the registry; registered: {known}.") from error


def existing_version(client: MlflowClient, name: str, version: str) -> str:
    there = [str(known.version) for known in reversed(versions_of(client, name))]
    if version not in there:
        raise UserError(f"{name} has no version {version!r}; versions: {', '.join(there) or 'none'}.")
    return version


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version, newest first."""
    pages: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        pages += page
        token = page.token
        if not token:
            return sorted(pages, key=lambda version: -int(version.version))


@contextmanager
def registry_lock() -> Iterator[None]:
    """One change of aliases at a time: MLflow has no compare-and-swap."""
    with FileLock(home() / "registry.lock"):
        yield


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return "unknown"
