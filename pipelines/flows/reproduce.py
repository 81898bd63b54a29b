"""`genlib reproduce MODEL VERSION`: the same training again, and whether the same weights come out.

Nothing is registered, no alias moved, and MLflow told nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.metadata import version as installed
from pathlib import Path
from shlex import quote

import mlflow
import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from torch import Tensor

from genlib.config.load import load_saved_config
from genlib.config.run import RunConfig
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.runs.folder import RunFolder, new_run_name
from genlib.runtime.provenance import git_state
from genlib.storage.files import read_json, sha256_of_file
from genlib.storage.home import runs_folder
from genlib.storage.tensors import load_tensors
from pipelines.launching import job
from pipelines.launching.devices import devices_for
from pipelines.registry.versions import existing_model, existing_version
from pipelines.serving.packaging import fetch_sampler
from pipelines.tracking.ledger import ledger_file
from pipelines.tracking.mirror import device_of
from pipelines.tracking.provenance import constraints_hash

WEIGHTS = "weights.safetensors"


def reproduce(name: str, number: str, run_dir: Path | None, say: Callable[[str], None]) -> tuple[str, bool]:
    """A report, and whether the weights are bit-identical. UserError where the data or the version's files are not
    what they were; a training that fails is one too.
    """
    client = MlflowClient()
    existing_model(client, name)
    version = existing_version(client, name, number)
    folder = RunFolder(run_dir or runs_folder() / f"reproduced-{new_run_name(name)}")
    if ledger_file(folder).exists():
        raise UserError(f"{folder.path} is the folder of a run of the pipeline; name another --run-dir, or none.")
    with tempfile.TemporaryDirectory() as scratch:
        config_file = configuration_of(version, Path(scratch))
        config = with_threads_of(version, load_saved_config(config_file), Path(scratch))
        check_data(version, config)
        original = fetch_sampler(version, Path(scratch))
        if original is None:
            raise UserError(f"the sampler of {name} version {number} is gone from MLflow; there is nothing to compare.")
        for difference in differences(version):
            say(f"warning: {difference}")
        with devices_for(config) as devices:
            ended = job.train(config, folder.path, devices, say)
        status = folder.result().get("status", "failed")
        if ended.code != 0 or status != "finished":
            last = ended.blamed or (ended.tail or [""])[-1]
            go_on = f"--run-dir {quote(str(folder.path))}"
            raise UserError(f"the training {status} (exit code {ended.code}: {last}); go on: {go_on}")
        again = folder.exported(config.evaluation.checkpoint).sampler
        result, same = compared(original / WEIGHTS, again / WEIGHTS)
    there, here = version.tags.get("device", "unknown"), device_of(folder.result())
    lines = [f"{name} version {number} trained again in {folder.path}: {result}"]
    if there != here:
        lines.append(f"It was trained on {there}, and now on {here}.")
    return "\n".join(lines), same


def configuration_of(version: ModelVersion, folder: Path) -> Path:
    """Download config.yaml of the version's run; UserError where MLflow has it no more."""
    try:
        found = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path="config.yaml", dst_path=str(folder)
        )
    except (OSError, MlflowException) as error:
        raise UserError(
            f"config.yaml of {version.name} version {version.version} cannot be had from MLflow ({error}); it is in "
            f"{version.tags.get('run_folder', 'its run folder')}."
        ) from error
    return Path(found)


def with_threads_of(version: ModelVersion, config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with the numbers of CPU threads that the version's steps were computed with on a CPU, as far as
    its run tells: other ones would change the weights by rounding.
    """
    try:
        file = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path="result.json", dst_path=str(folder)
        )
    except (OSError, MlflowException):
        return config
    result = read_json(Path(file))
    threads = result.get("threads")
    if not threads or config.training.threads or result.get("device") != "cpu":
        return config
    return config.model_copy(update={"training": config.training.model_copy(update={"threads": threads})})


def check_data(version: ModelVersion, config: RunConfig) -> None:
    """UserError unless the configuration's data is, bit for bit, what the version was trained on."""
    dataset = prepare(config.data)
    then, now = version.tags.get("dataset_hash", "unknown"), dataset.manifest.content_hash
    if then != now:
        raise UserError(
            f"the data has changed: {version.name} version {version.version} was trained on content hash {then[:12]} "
            f"(revision {version.tags.get('dataset_revision', 'unknown')}), and {config.data.source} is {now[:12]} now "
            f"(revision {dataset.manifest.revision or 'none'}); restore it, or name the revision in data.revision."
        )


def differences(version: ModelVersion) -> list[str]:
    """The differences of code and environment to the version's, which may lead to other weights."""
    tags = version.tags
    now = {**git_state(), "constraints_hash": constraints_hash(), "torch": installed("torch")}
    found = [
        f"{key} was {tags.get(key, 'unknown')}, and is {value} here"
        for key, value in now.items()
        if tags.get(key, "unknown") != value
    ]
    if tags.get("git.dirty") == "true":
        found.append("the version's code had changes beyond its commit: see code/uncommitted.diff of its MLflow run")
    return found


def compared(original: Path, again: Path) -> tuple[str, bool]:
    """A sentence on how two weights files differ, and whether they are equal bit for bit."""
    if sha256_of_file(original) == sha256_of_file(again):
        return f"the weights are bit-identical (SHA-256 {sha256_of_file(again)}).", True
    first, second = load_tensors(original), load_tensors(again)
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in (first, second)]
    if shapes[0] != shapes[1]:
        return "the weights differ in their tensors' names or shapes: it is another model.", False
    distances = {name: distance(first[name], second[name]) for name in first}
    worst = max(distances, key=lambda name: distances[name])
    if distances[worst] == 0:
        return "the tensors are equal, and the files differ in what is beside them.", True
    differing = sum(value > 0 for value in distances.values())
    most = f"at most by {distances[worst]:.3g} (in {worst})"
    return f"the weights differ in {differing} of {len(distances)} tensors, {most}.", False


def distance(first: Tensor, second: Tensor) -> float:
    """The largest difference of two tensors' values; infinity where one alone is NaN."""
    if first.numel() == 0:
        return 0.0
    unlike = (first.double() - second.double()).abs()
    return unlike.masked_fill(first.isnan() & second.isnan(), 0).nan_to_num(nan=torch.inf).max().item()
