"""Prefect's and MLflow's servers and workers as processes of their own, and the commands that people use them by."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
from mlflow import MlflowClient

from pipelines.servers.interfaces import mlflow_command
from pipelines.servers.local import Server, address, free_port, prefect_command
from tests.cluster.databases import DATABASES
from tests.conftest import PROJECT

ENDED = ("Completed", "Failed", "Cancelled", "Crashed")
QUICK = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5", "PREFECT_WORKER_QUERY_SECONDS": "2"}  # seconds


@dataclass(frozen=True)
class Cluster:
    home: Path
    environment: dict[str, str]
    api: httpx.Client
    mlflow: MlflowClient

    @classmethod
    @contextmanager
    def started(cls, database: str) -> Iterator[Cluster]:
        """Both servers on a database of this kind, with nothing in them, as long as the body runs."""
        with tempfile.TemporaryDirectory() as name, mock.patch.dict(os.environ):
            home, prefect, mlflow = Path(name), free_port(), free_port()
            os.environ["GENLIB_HOME"] = str(home)
            with DATABASES[database](home) as databases:
                environment = QUICK | {
                    "GENLIB_HOME": str(home),
                    "PREFECT_HOME": str(home / "prefect"),
                    "PREFECT_API_URL": f"{address(prefect)}/api",
                    "PREFECT_SERVER_DATABASE_CONNECTION_URL": with_asyncio(databases["prefect"]),
                    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
                    "MLFLOW_TRACKING_URI": address(mlflow),
                    "DO_NOT_TRACK": "true",
                }
                os.environ.update(environment)
                with (
                    Server.started("Prefect", prefect, prefect_command(prefect)) as first,
                    Server.started("MLflow", mlflow, mlflow_command(databases["mlflow"], mlflow)) as second,
                    httpx.Client(base_url=f"{address(prefect)}/api", timeout=30) as api,
                ):
                    for server in (first, second):
                        server.wait_until_up()
                    yield cls(home, environment, api, MlflowClient(address(mlflow)))

    @contextmanager
    def worker(self, pool: str) -> Iterator[Server]:
        """A worker of a pool, whose flow runs are processes on this machine."""
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        with mock.patch.dict(os.environ, self.environment), Server.started(f"{pool}-worker", 0, command) as worker:
            yield worker

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`python -m WORDS`, as a user of these servers calls it."""
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=PROJECT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=280,
        )

    def prefect(self, *words: str) -> str:
        done = self.command("prefect", "--no-prompt", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, *words: str) -> str:
        done = self.command("pipelines", "deploy", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, deployment: str, *words: str, **parameters: Any) -> str:
        """`prefect deployment run`; the flow run's id."""
        said = self.prefect("deployment", "run", deployment, "--params", json.dumps(parameters), *words)
        found = re.search(r"UUID: (\S+)", said)
        assert found, said
        return found[1]

    def get(self, path: str) -> Any:
        return self.api.get(path).raise_for_status().json()

    def post(self, path: str, **content: Any) -> Any:
        return self.api.post(path, json=content).raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        return self.get(f"/deployments/name/{name}")

    def runs_of(self, deployment: str) -> list[dict[str, Any]]:
        """Its flow runs, whatever their state, the next to start first."""
        these = {"deployments": {"id": {"any_": [self.deployment(deployment)["id"]]}}}
        return self.post("/flow_runs/filter", **these, sort="EXPECTED_START_TIME_ASC")

    def state(self, flow_run: str) -> dict[str, Any]:
        return self.get(f"/flow_runs/{flow_run}")["state"]

    def wait_for(self, flow_run: str, *names: str, seconds: float = 240) -> dict[str, Any]:
        """The first of the run's states with one of these names, or with one that ends it."""
        deadline = time.monotonic() + seconds
        while (state := self.state(flow_run))["name"] not in (*names, *ENDED):
            assert time.monotonic() < deadline, f"{state}\n{self.log_of(flow_run)}"
            time.sleep(0.3)
        assert state["name"] in names, f"{state}\n{self.log_of(flow_run)}"
        return state

    def wait_for_line(self, flow_run: str, part: str, seconds: float = 120) -> str:
        """The first line with this part in the flow run's log."""

        def line() -> str | None:
            return next((line for line in self.log_of(flow_run).splitlines() if part in line), None)

        return until(line, seconds)

    def log_of(self, flow_run: str) -> str:
        these = {"flow_run_id": {"any_": [flow_run]}}
        return "\n".join(line["message"] for line in self.post("/logs/filter", logs=these, sort="TIMESTAMP_ASC"))

    def mlflow_run_of(self, model: str, flow_run: str) -> Any:
        """The MLflow run that a flow run began or went on with."""
        experiment = self.mlflow.get_experiment_by_name(model)
        runs = self.mlflow.search_runs([experiment.experiment_id], f"tags.`prefect.flow_run_id` = '{flow_run}'")
        (run,) = runs
        return run


def until(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """What `ask` gives once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(0.3)
    return found


def with_asyncio(database: str) -> str:
    """The address as Prefect's server wants it."""
    return database.replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+asyncpg:")
