"""What is deployed on Prefect's server, and a run of it by a worker as a user starts it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import yaml

from pipelines.servers.local import Server
from tests.cluster.cluster import Cluster, until
from tests.conftest import CONFIGS

pytestmark = [pytest.mark.servers, pytest.mark.slow(minutes=2)]

BRIEF = {"training.steps": 200, "evaluation.every": None, "evaluation.samples": 80, "evaluation.likelihood_samples": 20}


def test_each_shipped_configuration_has_its_deployments(cluster: Cluster) -> None:
    deployed = cluster.post("/deployments/filter", limit=200)
    names = {file.stem.replace("_", "-") for file in CONFIGS.glob("*.yaml")}
    flows = {flow["id"]: flow["name"] for flow in cluster.post("/flows/filter")}
    assert {(flows[entry["flow_id"]], entry["name"]) for entry in deployed} == {
        (flow, name) for flow in ("retrain", "sample") for name in names
    }
    assert all(entry["description"] and entry["tags"] for entry in deployed)
    assert not any(schedule["active"] for entry in deployed for schedule in entry["schedules"])
    pools = {pool["name"]: pool["type"] for pool in cluster.post("/work_pools/filter")}
    assert pools == {"local": "process", "gpu": "process", "kubernetes": "kubernetes"}
    assert {entry["work_pool_name"] for entry in deployed} == {"local", "gpu"}


def test_deploying_again_makes_nothing_twice_and_keeps_what_was_switched_on(cluster: Cluster) -> None:
    before = cluster.deployment("retrain/dcgan-digits")
    nightly = next(schedule for schedule in before["schedules"] if schedule["slug"] == "nightly")
    cluster.prefect("deployment", "schedule", "resume", "retrain/dcgan-digits", nightly["id"])
    cluster.prefect("global-concurrency-limit", "update", "gpu", "--limit", "3")
    hourly = ("--cron", "0 * * * *", "--timezone", "UTC", "--no-active")
    cluster.prefect("deployment", "schedule", "create", "retrain/dcgan-digits", *hourly)
    said = cluster.deploy()
    assert "made" not in said
    assert "concurrency limit gpu: 3 slots" in said
    after = cluster.deployment("retrain/dcgan-digits")
    assert after["id"] == before["id"]
    assert {schedule["slug"]: schedule["active"] for schedule in after["schedules"]} == {
        "nightly": True,
        "when-data-change": False,
        None: False,
    }
    assert len(cluster.post("/automations/filter")) == 1

    runs = until(lambda: cluster.runs_of("retrain/dcgan-digits"))  # the scheduler's
    times = [datetime.fromisoformat(run["expected_start_time"]) for run in runs]
    assert {time.strftime("%H:%M %Z") for time in times} == {"03:00 UTC"}
    assert len({time.date() for time in times}) == len(times) >= 3
    assert {run["state"]["name"] for run in runs} == {"Scheduled"}
    switched_on = next(schedule for schedule in after["schedules"] if schedule["slug"] == "nightly")
    cluster.prefect("deployment", "schedule", "pause", "retrain/dcgan-digits", switched_on["id"])
    until(lambda: not cluster.runs_of("retrain/dcgan-digits"))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"training.steps": "many"}, "training.steps"),
        ({"training.steps": 0}, "training.steps"),
        ({"training.stepz": 10}, "training.stepz"),
        ({"method.likelihood": "gauss"}, "method.likelihood"),
    ],
)
def test_the_server_refuses_a_wrong_override_before_a_run_is_made(
    cluster: Cluster, overrides: dict[str, object], named: str
) -> None:
    deployment = cluster.deployment("retrain/vae-digits")
    answer = cluster.api.post(
        f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": {"overrides": overrides}}
    )
    assert answer.status_code == 409
    assert named in answer.text
    assert cluster.runs_of("retrain/vae-digits") == []


def test_the_command_line_refuses_it_in_the_same_way(cluster: Cluster) -> None:
    words = ("--params", '{"overrides": {"training.steps": "many"}}')
    done = cluster.command("prefect", "deployment", "run", "retrain/vae-digits", *words)
    assert done.returncode != 0
    assert cluster.runs_of("retrain/vae-digits") == []


def test_a_run_by_a_worker_registers_a_version_that_knows_where_it_is_from(cluster: Cluster, worker: Server) -> None:
    flow_run = cluster.run("retrain/vae-digits", "--watch", overrides=BRIEF)
    assert cluster.state(flow_run)["name"] == "Completed", cluster.log_of(flow_run)
    version = cluster.mlflow.get_model_version_by_alias("vae-digits", "champion")
    assert version.tags["prefect.flow_run_id"] == flow_run
    folder = Path(version.tags["run_folder"])
    assert folder.parent == cluster.home / "runs"
    assert yaml.safe_load((folder / "config.yaml").read_text())["training"]["steps"] == BRIEF["training.steps"]
    assert cluster.mlflow.get_run(str(version.run_id)).data.params["training.steps"] == str(BRIEF["training.steps"])
    artifacts = cluster.post("/artifacts/latest/filter", artifacts={"flow_run_id": {"any_": [flow_run]}})
    assert {artifact["key"] for artifact in artifacts} >= {"vae-digits-result", "vae-digits-gate", "vae-digits-report"}
