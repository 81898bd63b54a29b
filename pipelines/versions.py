"""What MLflow's registry has of a model: versions, aliases, and the history of its champions."""

from __future__ import annotations

import json

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from genlib.errors import UserError

CHAMPION, CHALLENGER = "champion", "challenger"
HISTORY = "champion.history"  # tag of the registered model: JSON, oldest first


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


def existing_model(client: MlflowClient, name: str) -> RegisteredModel:
    """UserError, naming those that are there, for another one."""
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        known = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none yet"
        raise UserError(f"model {name!r} is not in the registry; registered: {known}.") from error


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
        raise UserError(f"{name} has no champion; name a version: python -m pipelines compare {name} lists them.")
    return existing_version(client, name, chosen)


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
