"""The flow and its servers killed, stopped and started again: afterwards MLflow has one run with each step once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.runs.folder import RunFolder
from pipelines.servers.interfaces import mlflow_command
from pipelines.servers.local import Server, address, free_port, prefect_command
from pipelines.tracking.ledger import begin_ledger
from pipelines.tracking.mirror import Mirror
from tests.conftest import PROJECT
from tests.processes import left_over

pytestmark = [pytest.mark.slow(minutes=5), pytest.mark.long]
random_seconds = random.Random(20261123)
STEPS = 6000
SETTINGS = (
    *(f"training.steps={STEPS}", "training.log_every=500", "training.sample_every=3000"),
    *("training.checkpoint_every=500", "evaluation.features=random", "evaluation.samples=80"),
    *("evaluation.likelihood_samples=20", "registry.metric=fd_random"),
)
SECRETS = {"HF_TOKEN": "hf_s3cretT0ken", "AWS_SECRET_ACCESS_KEY": "s3cretAccessKey"}
PASSWORD = "s3cretPa55word"


@contextmanager
def server(name: str, port: int, command: list[str]) -> Iterator[Server]:
    with Server.started(name, port, command) as started:
        started.wait_until_up()
        yield started


class Flow:
    """`python -m pipelines run` in the background."""

    def __init__(self, module: str, arguments: list[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "run", *arguments],
            cwd=PROJECT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def until(self, said: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if said in line:
                return
        raise AssertionError(f"it ended before it said {said!r}:\n{self.output}")

    def end(self) -> int:
        self.output += self.process.communicate(timeout=240)[0]
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.end()


def test_a_flow_killed_in_each_stage_is_gone_on_with_though_its_server_restarts(
    tracking: Path, tiny: Callable[..., list[str]], tmp_path: Path
) -> None:
    run_dir, model, port = tmp_path / "run", tmp_path.name, free_port()
    arguments = [*tiny("vae", *SETTINGS, f"registry.model={model}"), "--run-dir", str(run_dir)]
    command = [*prefect_command(port), "--no-ui"]
    api = {"PREFECT_API_URL": f"{address(port)}/api"}
    with server("Prefect", port, command):
        flow = Flow("pipelines", arguments, **api)
        flow.until("step 1000/")
        flow.kill()
        assert not left_over(run_dir)
        assert RunFolder(run_dir).result()["status"] == "preempted"  # its child was told, and saved a checkpoint
        flow = Flow("pipelines", arguments, **api)
        flow.until("from step ")
    with server("Prefect", port, command):  # the same port and database
        flow.until("Task run 'train")
        flow.until("Finished in state Completed()")
        time.sleep(random_seconds.uniform(0.5, 2))  # in the evaluation
        flow.kill()
        assert not left_over(run_dir)
        flow = Flow("pipelines", arguments, **api)
        flow.until("Task run 'evaluate")
        flow.until("Finished in state Completed()")
        time.sleep(random_seconds.uniform(0, 0.3))  # in the registration
        flow.kill()
        flow = Flow("pipelines", arguments, **api)
        assert flow.end() == 0, flow.output
    client = MlflowClient()
    experiment = client.get_experiment_by_name(model)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    for name in ("vae/total", "seconds"):
        history = [point.step for point in client.get_metric_history(run.info.run_id, name)]
        assert history == list(range(500, STEPS + 1, 500))
    (version,) = client.search_model_versions(f"name = '{model}'")
    assert version.run_id == run.info.run_id and version.tags["run_folder"] == str(run_dir)
    assert not left_over(run_dir)


def test_mlflow_is_away_all_the_while_and_gets_everything_afterwards_but_no_secret(
    tracking: Path, tiny: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, model, port = tmp_path / "run", tmp_path.name, free_port()
    uri = f"http://me:{PASSWORD}@127.0.0.1:{port}"
    away = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"} | SECRETS
    few = [word.replace(str(STEPS), "1000") for word in SETTINGS]
    arguments = [*tiny("vae", *few, f"registry.model={model}"), "--run-dir", str(run_dir)]
    flow = Flow("tests.pipelines.driver", arguments, **away)
    assert flow.end() == 1
    assert f"once it is back, genlib sync {run_dir} registers it" in flow.output
    assert "Traceback" not in flow.output
    assert RunFolder(run_dir).evaluation()["metrics"]
    database, store = tmp_path / "mlflow.db", tmp_path / "artifacts"
    command = mlflow_command(f"sqlite:///{database}", port)
    command[command.index("--artifacts-destination") + 1] = str(store)
    with server("MLflow", port, command):
        synced = [
            subprocess.run(
                [sys.executable, "-m", "pipelines", "sync", str(run_dir)],
                cwd=PROJECT,
                env=os.environ | away,
                capture_output=True,
                text=True,
            )
            for _ in range(2)
        ]
        assert synced[0].stdout == "run: sent, version 1 is champion\n", synced[0].stderr
        assert synced[1].stdout == "MLflow has everything.\n"
        client = MlflowClient(f"http://127.0.0.1:{port}")
        (run,) = client.search_runs([client.get_experiment_by_name(model).experiment_id])
        assert run.info.status == "FINISHED"
        assert [point.step for point in client.get_metric_history(run.info.run_id, "vae/total")] == [500, 1000]
    said = flow.output + "".join(done.stdout + done.stderr for done in synced)
    files = [database, *(file for folder in (run_dir, store) for file in folder.rglob("*") if file.is_file())]
    for secret in (PASSWORD, *SECRETS.values()):
        assert secret not in said
        assert not [file for file in files if secret.encode() in file.read_bytes()]


def test_mlflow_stopped_and_started_in_the_middle_has_each_step_once(
    tracking: Path,
    config: RunConfig,
    dataset: DatasetFolder,
    run_folder: RunFolder,
    write_metrics: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address(port))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    command = mlflow_command(f"sqlite:///{tmp_path}/mlflow.db", port)
    said: list[str] = []
    mirror = Mirror(run_folder, begin_ledger(run_folder, dataset, config, {}), said.append)

    def has(steps: list[int]) -> bool:
        try:
            history = MlflowClient(address(port)).get_metric_history(mirror.run_id, "vae/total")
        except MlflowException:  # on a connection of the server that was killed
            return False
        return [point.step for point in history] == steps

    with mirror.following(interval=0.1):
        write_metrics(1, 2)
        with server("MLflow", port, command) as running:
            while mirror.ledger.run_id is None or not has([1, 2]):
                time.sleep(0.1)
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
        write_metrics(3, 4)
        while not said or "progress" not in said[-1]:
            time.sleep(0.1)
        with server("MLflow", port, command):
            while not has([1, 2, 3, 4]):
                time.sleep(0.1)
            write_metrics(5)
            assert mirror.close("FINISHED")
            assert has([1, 2, 3, 4, 5])
