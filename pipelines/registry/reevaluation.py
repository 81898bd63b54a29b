"""An earlier version evaluated as a candidate was: by the same extractor, on the same data, with the same seeds."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from genlib.config.load import to_yaml
from genlib.config.run import RunConfig
from genlib.errors import UserError
from genlib.storage.files import read_json
from pipelines.launching.devices import devices_for
from pipelines.launching.launch import run_process
from pipelines.registry.register import NotComparable
from pipelines.registry.scores import Scores, is_of_samples, scores_of
from pipelines.serving.packaging import fetch_sampler


def evaluate_again(
    config: RunConfig,
    run_id: str,
    version: ModelVersion,
    say: Callable[[str], None],
    devices: Mapping[str, str] | None,
) -> Scores:
    """Evaluate a version's sampler under a configuration, in a process of its own; an MLflow run keeps the report.

    NotComparable where that cannot be; UserError where it should have been possible.
    """
    metric = config.registry.metric
    if not is_of_samples(metric):
        raise NotComparable(f"{metric} is of a whole model, and MLflow has its sampler alone")
    say(f"evaluating version {version.version}, an earlier one, as this version was")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sampler, output = fetch_sampler(version, folder), folder / f"version-{version.version}"
        if sampler is None:
            raise NotComparable("its sampler is gone from MLflow")
        config_file = folder / "config.yaml"
        config_file.write_text(to_yaml(config))
        command = [sys.executable, "-m", "genlib", "evaluate", "--sampler", str(sampler), "--data", str(config_file)]
        with devices_for(config) if devices is None else nullcontext(devices) as environment:
            ended = run_process([*command, "--output", str(output)], say, environment)
        if ended.code != 0 and ended.blamed:
            raise NotComparable(ended.blamed)
        if ended.code != 0:
            last = "\n".join(ended.tail)
            raise UserError(
                f"version {version.version} could not be evaluated (exit code {ended.code}), so that the new one has "
                "no alias yet; mend the cause, then genlib sync lets the gate decide. Its last lines:\n"
                f"{last}"
            )
        MlflowClient().log_artifacts(run_id, str(output), output.name)
        return scores_of(read_json(output / "evaluation.json"))
