"""The whole flow as a user runs it, on two processes, with a model that trains in a moment. On one: test_faults.py."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from pipelines.servers.store import sqlite_uri

Command = Callable[..., subprocess.CompletedProcess[str]]
MODEL = "flow-test"
QUICK = (
    "training.sample_every=5",
    "training.log_every=5",
    "evaluation.features=random",
    "evaluation.samples=80",
    "evaluation.likelihood_samples=20",
    "registry.metric=fd_random",
    f"registry.model={MODEL}",
)


@pytest.mark.slow
@pytest.mark.usefixtures("tracking")
def test_the_flow_takes_a_dataset_to_a_registered_version_on_two_processes_under_a_path_of_odd_characters(
    command: Command, tiny: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / 'it\'s "odd" `x` #1? 50% of \\a;b&c'
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(home / "mlflow.db"))
    both = ["training.processes=2", "training.micro_batches=2"]
    done = command("pipelines", "run", *tiny("vae", *QUICK, *both), GENLIB_HOME=str(home), PREFECT_HOME="")
    assert done.returncode == 0, done.stderr
    assert no_noise(done)
    assert " on 2 x " in done.stderr and f"{MODEL} version 1" in done.stdout
    client = MlflowClient()
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert str(version.version) == "1"
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(version.run_id, "vae/total")] == [5, 10]
    images = [file.path for file in client.list_artifacts(version.run_id, "images")]
    assert {re.search(r"\+step\+(\d+)", image).group(1) for image in images} >= {"5", "10"}  # type: ignore[union-attr]
    folder = Path(run.data.tags["run_folder"])
    assert folder.parent == home / "runs"
    assert {path.name for path in tmp_path.iterdir()} == {home.name}
    assert (home / "prefect" / "prefect.db").exists()
    champion = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    assert len(champion.predict(pd.DataFrame({"count": [3]}))) == 3
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert run.data.metrics["fd_random"] == pytest.approx(evaluation["metrics"]["fd_random"]["value"])
    assert version.tags["metric.fd_random"] == repr(evaluation["metrics"]["fd_random"]["value"])


def no_noise(done: subprocess.CompletedProcess[str]) -> bool:
    """No traceback, no warning."""
    return not re.search("Traceback|Warning|WARNING", done.stdout + done.stderr)
