"""Nights on a cluster: the gate, a cancelled run, two trainings with one slot, a worker that dies, sampling."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from PIL import Image

from genlib.runs.folder import RunFolder
from pipelines.servers.local import Server
from tests.cluster.cluster import Cluster, until
from tests.cluster.test_deployments import BRIEF
from tests.processes import left_over

pytestmark = pytest.mark.cluster

LONG = BRIEF | {"training.steps": 100_000, "training.checkpoint_every": 200}
CANCELLED_WITHIN = 30  # seconds
SILENT = 90  # seconds without a heartbeat, after which a run counts as crashed


def registry(overrides: dict[str, object], model: str) -> dict[str, object]:
    """A model of the test's own."""
    return overrides | {"registry.model": model}


def folder_of(cluster: Cluster, model: str, flow_run: str) -> RunFolder:
    return RunFolder(cluster.home / "runs" / f"{model}-{flow_run}")


@pytest.mark.timeout(600)
def test_a_second_run_with_one_field_changed_goes_through_the_gate(cluster: Cluster, worker: Server) -> None:
    overrides = registry(BRIEF, "gated")
    first = cluster.run("retrain/vae-digits", "--watch", overrides=overrides)
    assert cluster.state(first)["name"] == "Completed", cluster.log_of(first)
    second = cluster.run("retrain/vae-digits", "--watch", overrides=overrides | {"training.steps": 1})
    assert cluster.state(second)["name"] == "Completed", cluster.log_of(second)
    params = [cluster.mlflow_run_of("gated", flow_run).data.params for flow_run in (first, second)]
    changed = {key for key in params[0] if params[0][key] != params[1].get(key)}
    assert changed == {"training.steps"}
    assert str(cluster.mlflow.get_model_version_by_alias("gated", "champion").version) == "1"
    refused = cluster.mlflow.get_model_version_by_alias("gated", "challenger")
    assert str(refused.version) == "2"
    assert "not better than the champion's" in refused.tags["gate"]
    assert "| fd_classifier |" in refused.description
    (artifact,) = cluster.post(
        "/artifacts/filter", artifacts={"flow_run_id": {"any_": [second]}, "key": {"any_": ["gated-gate"]}}
    )
    assert artifact["data"] == refused.description

    promoted = events(cluster, "genlib.champion.promoted", "genlib.model.gated")
    assert [event["payload"]["version"] for event in promoted] == ["1"]
    assert f"prefect.flow-run.{first}" in json.dumps(promoted[0]["related"])

    assert cluster.command("pipelines", "promote", "gated", "2").returncode == 0
    back = [cluster.command("pipelines", "rollback", "gated").stdout for _ in range(2)]
    assert "gated: champion is now version 1, back from version 2" in back[0]
    assert "nothing was changed" in back[1]
    until(lambda: len(events(cluster, "genlib.champion.rolled-back", "genlib.model.gated")) == 1)

    third = cluster.run("retrain/vae-digits", "--watch", overrides=overrides, only_if_data_changed=True)
    state = cluster.state(third)
    assert (state["name"], "gated version 1, the champion, was trained on these data" in state["message"]) == (
        "Completed",
        True,
    )
    assert not folder_of(cluster, "gated", third).path.exists()


def events(cluster: Cluster, name: str, resource: str) -> list[dict[str, object]]:
    answer = cluster.post("/events/filter", filter={"event": {"name": [name]}, "resource": {"id": [resource]}})
    found: list[dict[str, object]] = answer["events"]
    return found


@pytest.mark.timeout(600)
def test_a_run_cancelled_in_mid_training_leaves_a_checkpoint_and_no_process_and_is_gone_on_with(
    cluster: Cluster, worker: Server
) -> None:
    overrides = registry(LONG, "cancelled")
    flow_run = cluster.run("retrain/vae-digits", overrides=overrides)
    cluster.wait_for_line(flow_run, "step 400/")
    folder = folder_of(cluster, "cancelled", flow_run)
    asked = time.monotonic()
    cluster.prefect("flow-run", "cancel", flow_run)
    assert not left_over(folder.path, within=CANCELLED_WITHIN)
    assert time.monotonic() - asked < CANCELLED_WITHIN
    cluster.wait_for(flow_run, "Cancelled", seconds=CANCELLED_WITHIN)
    stopped = folder.result()
    assert stopped["status"] == "preempted"
    mlflow_run = cluster.mlflow_run_of("cancelled", flow_run)
    until(lambda: cluster.mlflow.get_run(mlflow_run.info.run_id).info.status == "KILLED")

    again = cluster.run("retrain/vae-digits", overrides=overrides)
    said = cluster.wait_for_line(again, "which was cut off")
    assert str(folder.path) in said
    cluster.wait_for_line(again, f"from step {stopped['step']}")
    assert cluster.mlflow.get_run(mlflow_run.info.run_id).info.status == "RUNNING"
    cluster.prefect("flow-run", "cancel", again)
    assert not left_over(folder.path, within=CANCELLED_WITHIN)
    assert folder.result()["step"] > stopped["step"]


@pytest.mark.timeout(600)
def test_two_trainings_with_one_slot_run_one_after_the_other(cluster: Cluster) -> None:
    cluster.prefect("global-concurrency-limit", "update", "gpu", "--limit", "1")
    cluster.deploy("--pool", "gpu")
    try:
        overrides = {name: registry(BRIEF | {"training.steps": 2000}, name) for name in ("one", "other")}
        with cluster.worker("gpu"):
            runs = {name: cluster.run("retrain/vae-digits", overrides=each) for name, each in overrides.items()}
            until(lambda: "AwaitingDevices" in [cluster.state(run)["name"] for run in runs.values()], seconds=120)
            waiting = next(run for run in runs.values() if cluster.state(run)["name"] == "AwaitingDevices")
            assert "1 of the 1 slots of 'gpu'" in cluster.state(waiting)["message"]
            for run in runs.values():
                cluster.wait_for(run, "Completed")
        spans = sorted(training_of(cluster, run) for run in runs.values())
        assert spans[0][1] <= spans[1][0]
        assert cluster.get("/v2/concurrency_limits/gpu")["active_slots"] == 0
    finally:
        cluster.deploy("--pool", "local")


def training_of(cluster: Cluster, flow_run: str) -> tuple[str, str]:
    """When its training began and ended, as ISO 8601 in UTC."""
    these = {"flow_run_id": {"any_": [flow_run]}, "name": {"like_": "train "}}
    (task,) = cluster.post("/task_runs/filter", task_runs=these)
    return task["start_time"], task["end_time"]


@pytest.mark.timeout(900)
def test_the_runs_of_a_worker_that_is_killed_crash_and_are_gone_on_with(cluster: Cluster) -> None:
    overrides = registry(LONG, "orphaned")
    with cluster.worker("local") as worker:
        flow_run = cluster.run("retrain/vae-digits", overrides=overrides)
        cluster.wait_for_line(flow_run, "step 400/")
        folder = folder_of(cluster, "orphaned", flow_run)
        heart = f"prefect.flow-run.{flow_run}"
        until(lambda: len(events(cluster, "prefect.flow-run.heartbeat", heart)) > 1)  # it beats often enough
        children = psutil.Process(worker.process.pid).children(recursive=True)
        for process in (worker.process, *children):  # the worker first: it would report what became of its children
            os.kill(process.pid, signal.SIGKILL)
        assert not left_over(folder.path)
    state = cluster.wait_for(flow_run, "Crashed", seconds=SILENT + 90)
    assert "heartbeat has stopped" in state["message"]
    with cluster.worker("local"):
        again = cluster.run("retrain/vae-digits", overrides=overrides)
        assert str(folder.path) in cluster.wait_for_line(again, "which was cut off")
        cluster.wait_for_line(again, "from step ")
        cluster.prefect("flow-run", "cancel", again)
        assert not left_over(folder.path, within=CANCELLED_WITHIN)


@pytest.mark.timeout(600)
def test_samples_of_the_champion_are_written_to_a_folder(cluster: Cluster, worker: Server, tmp_path: Path) -> None:
    cluster.run("retrain/vae-digits", "--watch", overrides=BRIEF)  # the first one, or another through the gate
    output = tmp_path / "images"
    flow_run = cluster.run("sample/vae-digits", "--watch", count=20, seed=3, output=str(output))
    assert cluster.state(flow_run)["name"] == "Completed", cluster.log_of(flow_run)
    files = sorted(output.glob("*.png"))
    assert len(files) == 20
    assert Image.open(files[0]).size == (8, 8)
    assert json.loads((output / "samples.json").read_text())["model"] == "vae-digits"
