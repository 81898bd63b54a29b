"""`genlib lineage MODEL [VERSION]`: what a version was made from and by, and where that is kept."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipelines.registry.comparison import created
from pipelines.registry.versions import aliases_of, version_or_champion
from pipelines.tracking.links import run_page, version_page
from pipelines.tracking.mirror import UNCOMMITTED

WIDTH = 14  # of the headings


def lineage(name: str, number: str | None = None) -> str:
    """One readable block about a version, or about the champion. UserError for an unknown one."""
    client = MlflowClient()
    version = version_or_champion(client, name, number)
    tags = version.tags
    alias = aliases_of(client.get_registered_model(name)).get(str(version.version), "no alias")
    run = client.get_run(str(version.run_id)).info
    page = run_page(run.experiment_id, run.run_id)

    def tag(key: str) -> str:
        return tags.get(key, "unknown")

    block = {
        "version": f"{name} {version.version}, {alias}, registered {created(version)} UTC",
        "": version_page(name, str(version.version)),
        "gate": tag("gate"),
        "parent": parent_of(version),
        "data": f"{tag('dataset_source')}, revision {tag('dataset_revision')}, content hash {tag('dataset_hash')}",
        "code": code_of(version),
        "configuration": f"config.yaml of the MLflow run: {page}/artifacts/config.yaml",
        "environment": f"constraints {tag('constraints_hash')}, image {tag('image_digest')}, torch {tag('torch')}",
        "devices": f"{tag('device')}, CPU threads {tag('threads')}, driver {tag('driver')}, on {tag('host')}",
        "weights": f"SHA-256 {tag('weights_sha256')}",
        "MLflow run": f"{run.run_id}: {page}",
        "flow run": tag("prefect.flow_run_id"),
        "run folder": folder_of(tag("run_folder")),
        "again": f"genlib reproduce {quote(name)} {version.version}",
    }
    return "\n".join(f"{heading:<{WIDTH}}{text}" for heading, text in block.items())


def parent_of(version: ModelVersion) -> str:
    parent = version.tags.get("parent_version", "unknown")
    return f"version {parent}, the champion then" if parent.isdigit() else parent


def code_of(version: ModelVersion) -> str:
    """The commit, and where the changes to it are."""
    commit, dirty = version.tags.get("git.commit", "unknown"), version.tags.get("git.dirty") == "true"
    return f"commit {commit}" + (f", with the changes in {UNCOMMITTED} of the MLflow run" if dirty else "")


def folder_of(path: str) -> str:
    return path if Path(path).is_dir() else f"{path} (not on this machine)"
