"""A model in MLflow's registry: versions, aliases, and the history of its champions."""

from __future__ import annotations

import json
from shlex import quote

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from genlib.errors import UserError, did_you_mean
from pipelines.registry.gate import CHALLENGER, CHAMPION
from pipelines.tracking.queries import registered_models, versions_of

HISTORY = "champion.history"  # tag of the registered model: JSON, oldest first


def standing(alias: str) -> str:
    """An alias as a sentence has it: "champion", "challenger" or "without an alias"."""
    return alias or "without an alias"


def challenger_of(model: RegisteredModel) -> str | None:
    version = model.aliases.get(CHALLENGER)
    return str(version) if version is not None else None


def champion_of(model: RegisteredModel) -> str | None:
    version = model.aliases.get(CHAMPION)
    return str(version) if version is not None else None


def history_of(model: RegisteredModel) -> list[dict[str, str]]:
    return json.loads(model.tags.get(HISTORY, "[]"))


def aliases_of(model: RegisteredModel) -> dict[str, str]:
    """Version to alias; a version with several has them in one string."""
    named: dict[str, str] = {}
    for alias, version in sorted(model.aliases.items()):
        named[str(version)] = f"{named[str(version)]}, {alias}" if str(version) in named else alias
    return named


def model_or_none(client: MlflowClient, name: str) -> RegisteredModel | None:
    """The registered model; None where there is none of that name, or MLflow would not accept the name."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def existing_model(client: MlflowClient, name: str) -> RegisteredModel:
    """UserError, naming those that are there, for another one."""
    model = model_or_none(client, name)
    if model is None:
        known = sorted(model.name for model in registered_models(client))
        raise UserError(
            f"model {name!r} is not in the registry{did_you_mean(name, known)}; registered: "
            f"{', '.join(known) or 'none yet'}."
        )
    return model


def existing_version(client: MlflowClient, name: str, version: str) -> ModelVersion:
    """UserError, naming those that are there, for another one."""
    there = {str(known.version): known for known in reversed(versions_of(client, name))}
    if version not in there:
        raise UserError(f"{name} has no version {version!r}; versions: {', '.join(there) or 'none'}.")
    return there[version]


def version_or_champion(client: MlflowClient, name: str, version: str | None) -> ModelVersion:
    """The version, or the champion where none is named; UserError where there is no such version."""
    model = existing_model(client, name)
    chosen = version or champion_of(model)
    if chosen is None:
        raise UserError(f"{name} has no champion; name a version: genlib compare {quote(name)} lists them.")
    return existing_version(client, name, chosen)
