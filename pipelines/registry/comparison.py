"""`genlib compare MODEL`: versions side by side."""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from genlib.config.metrics import metrics
from genlib.runtime.text import text_table
from pipelines.registry.scores import Scores, from_tags, is_current
from pipelines.registry.versions import aliases_of, existing_model
from pipelines.tracking.queries import versions_of

EARLIER = " (earlier definition)"


def compare(name: str) -> str:
    """A table of a model's versions, newest first.

    Its metrics are those that have a column and were measured; the rest is in the MLflow run and its report.
    """
    client = MlflowClient()
    aliases = aliases_of(existing_model(client, name))
    versions = versions_of(client, name)
    scores = [from_tags(version.tags) for version in versions]
    measured = {metric for each in scores for metric in each.metrics}
    columns = [metric.name for metric in metrics().values() if metric.compared and metric.name in measured]
    with_baseline = any(each.baseline for each in scores)
    of_origin = ("parent", "dataset", "revision", "git commit", "created", "gate")
    rows = [["version", "alias", *columns, *(["baseline"] if with_baseline else []), *of_origin]]
    for version, each in zip(versions, scores, strict=True):
        name = str(version.version)
        cells = [cell(each, metric) for metric in columns]
        cells += [baseline_of(each, version.tags.get("gate.metric", ""))] if with_baseline else []
        rows.append([name, aliases.get(name, ""), *cells, *origin_of(version.tags, version)])
    table = text_table(rows, ruled=True) + "\n\n± over sampling seeds; in brackets: the real-data floor. Times are UTC."
    return table + (f" {EARLIER.strip()}: the metric is computed in another way now." if EARLIER in table else "")


def cell(scores: Scores, metric: str) -> str:
    """A value with its deviation and floor, such as '4.072 ± 0.1818 (0.5502)'."""
    if metric not in scores.metrics:
        return ""
    std = f" ± {scores.std[metric]:.4g}" if metric in scores.std else ""
    floor = f" ({scores.floor[metric]:.4g})" if metric in scores.floor else ""
    earlier = "" if is_current(scores, metric) else EARLIER
    return f"{scores.metrics[metric]:.4g}{std}{floor}{earlier}"


def baseline_of(scores: Scores, metric: str) -> str:
    """The baseline's value of the gate's metric, such as '0.583 (fd_classifier)'; "" where it was not measured."""
    return f"{scores.baseline[metric]:.4g} ({metric})" if metric in scores.baseline else ""


def origin_of(tags: dict[str, str], version: ModelVersion) -> list[str]:
    """The parent version, data, code and time, and the gate's reason."""
    return [
        tags.get("parent_version", "unknown"),
        tags.get("dataset_hash", "unknown")[:12],
        tags.get("dataset_revision", "unknown")[:12],
        tags.get("git.commit", "unknown")[:12] + (" (dirty)" if tags.get("git.dirty") == "true" else ""),
        created(version),
        tags.get("gate", ""),
    ]


def created(version: ModelVersion) -> str:
    """Time of registration, in UTC."""
    return f"{datetime.fromtimestamp(version.creation_timestamp / 1000, UTC):%Y-%m-%d %H:%M}"
