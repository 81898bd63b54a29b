"""Searches in MLflow for exact values, whatever characters they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.store.entities import PagedList

Found = TypeVar("Found")


def equals(field: str, value: str) -> str | None:
    """The clause `field = value` of MLflow's filter grammar; None where the grammar cannot hold the value.

    The grammar has single and double quotes and no way to escape them: a value with both, or with a backslash, which
    its tokenizer takes for an escape, cannot be written.
    """
    for quote in "'\"":
        if quote not in value and "\\" not in value:
            return f"{field} = {quote}{value}{quote}"
    return None


def runs_tagged(client: MlflowClient, experiment: str, tags: Mapping[str, str], *clauses: str) -> Iterator[Run]:
    """The active runs of an experiment that have these tags, newest first; `clauses` restrict them further."""
    wanted = [*clauses, *(equals(f"tags.`{key}`", value) for key, value in tags.items())]
    filter_string = " and ".join(clause for clause in wanted if clause)
    for run in pages(lambda token: client.search_runs([experiment], filter_string, page_token=token)):
        if tags.items() <= run.data.tags.items():
            yield run


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version of a model, newest first."""
    found = pages(lambda token: client.search_model_versions(equals("name", name), page_token=token))
    return sorted((version for version in found if version.name == name), key=lambda version: -int(version.version))


def registered_models(client: MlflowClient) -> Iterator[RegisteredModel]:
    return pages(lambda token: client.search_registered_models(page_token=token))


def pages(page_at: Callable[[str | None], PagedList[Found]]) -> Iterator[Found]:
    """The entries of all pages of a search."""
    token = None
    while True:
        page = page_at(token)
        yield from page
        token = page.token
        if not token:
            return
