"""tracking.json in a run folder: what MLflow is to know of the run and genlib's files do not say, and what it has."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder, flatten
from genlib.runtime.provenance import git_state, uncommitted
from genlib.storage.files import read_json, write_json
from pipelines.tracking.provenance import constraints_hash

DIGEST_LENGTH = 36  # MLflow's limit

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]  # MLflow's


@dataclass
class Ledger:
    """Kept on disk: another process can send what this one could not."""

    model: str  # of the registry, which names the experiment too
    id: str = field(default_factory=lambda: uuid4().hex)  # of this run, which keeps it wherever its folder goes
    params: dict[str, str] = field(default_factory=dict)  # the configuration, by dotted key
    started: int = field(default_factory=lambda: round(1000 * time.time()))  # milliseconds
    tags: dict[str, str] = field(default_factory=dict)
    dataset: dict[str, str] = field(default_factory=dict)  # as MLflow describes datasets
    manifest: dict[str, Any] = field(default_factory=dict)
    uncommitted: str = ""  # what the code had beyond its commit
    experiment_id: str | None = None
    run_id: str | None = None
    status: Status = "RUNNING"
    to_register: dict[str, str] | None = None  # the tags of the model's version, as long as it is not registered
    version: str | None = None  # of the registered model
    complete: bool = False  # MLflow has everything

    def write(self, folder: RunFolder) -> None:
        write_json(ledger_file(folder), asdict(self))


def ledger_file(folder: RunFolder) -> Path:
    return folder.path / "tracking.json"


def read_ledger(folder: RunFolder) -> Ledger | None:
    """The ledger of a run folder; None where no pipeline tracked the run. UserError for a file that is no ledger."""
    file = ledger_file(folder)
    try:
        return Ledger(**read_json(file)) if file.exists() else None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{file} is damaged ({error}); restore it from a backup, or delete it, and the folder's MLflow run is "
            "begun anew."
        ) from error


def begin_ledger(folder: RunFolder, dataset: DatasetFolder, config: RunConfig, tags: dict[str, str]) -> Ledger:
    """The run's ledger, new or gone on with, saying what this attempt is made from."""
    ledger = read_ledger(folder) or Ledger(config.registry.model)
    ledger.params = {name: str(value) for name, value in flatten(config.model_dump(mode="json")).items()}
    ledger.status, ledger.complete = "RUNNING", False
    ledger.tags = {
        **git_state(),
        "constraints_hash": constraints_hash(),
        "image_digest": os.environ.get("GENLIB_IMAGE_DIGEST", "unknown"),
        "host": platform.node(),
        "dataset_source": dataset.manifest.source,
        "dataset_revision": dataset.manifest.revision or "none",
        "dataset_hash": dataset.manifest.content_hash,
        **tags,
    }
    ledger.uncommitted = uncommitted()
    ledger.dataset, ledger.manifest = description_of(dataset), asdict(dataset.manifest)
    ledger.write(folder)
    return ledger


def description_of(dataset: DatasetFolder) -> dict[str, str]:
    """The dataset folder as MLflow knows datasets; its digest is the start of the content hash."""
    manifest = dataset.manifest
    source = {"uri": str(dataset.path), "made_from": manifest.source, "revision": manifest.revision}
    profile = {"counts": manifest.counts, "shape": manifest.shape, "content_hash": manifest.content_hash}
    return {
        "name": Path(manifest.source).name,
        "digest": manifest.content_hash[:DIGEST_LENGTH],
        "source_type": "local",
        "source": json.dumps(source),
        "profile": json.dumps(profile),
    }
