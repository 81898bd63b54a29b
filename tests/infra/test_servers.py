"""Prefect's and MLflow's servers with the commands and settings of compose.yaml, on a real PostgreSQL."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.deploying.deploy import KUBERNETES_JOB
from tests.conftest import PROJECT
from tests.infra.conftest import Stack, status
from tests.postgresql import query

POOLS = {"local": "process", "gpu": "process", "kubernetes": "kubernetes"}
TAKE_SLOT = """
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    answer = client.increment_concurrency_slots_with_lease(["gpu"], 1, "concurrency", 3600)
    print(answer.json()["lease_id"])
"""
ASK = """
import json, time
from prefect.client.orchestration import get_client
deadline = time.monotonic() + 60
with get_client(sync_client=True) as client:
    while client.read_work_pool("local").status.value != "READY" and time.monotonic() < deadline:
        time.sleep(0.5)  # until the worker's first heartbeat
    pools = [client.read_work_pool(name) for name in ("local", "gpu", "kubernetes")]
    limit = client.read_global_concurrency_limit_by_name("gpu")
pools = {pool.name: pool.model_dump(mode="json") for pool in pools}
print(json.dumps({"pools": pools, "limit": limit.model_dump(mode="json")}))
"""
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_each_role_owns_one_database_and_reaches_no_other(stack: Stack) -> None:
    for own, other in (("prefect", "mlflow"), ("mlflow", "prefect")):
        login = {"PGUSER": own, "PGPASSWORD": stack.settings[f"{own.upper()}_DATABASE_PASSWORD"]}
        query(stack.database, "CREATE TABLE mine (); DROP TABLE mine", own, **login)
        for database in (other, "postgres"):
            with pytest.raises(subprocess.CalledProcessError) as refused:
                query(stack.database, "SELECT 1", database, **login)
            assert "permission denied for database" in refused.value.stderr
    rights = query(
        stack.database, "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolcanlogin"
    )
    assert set(rights.splitlines()) == {"postgres|t|t|t", "prefect|f|f|f", "mlflow|f|f|f"}


def test_prefects_server_serves_its_pages_and_keeps_out_whoever_has_no_login(stack: Stack) -> None:
    with stack.running("prefect") as address:
        login = base64.b64encode(stack.settings["PREFECT_LOGIN"].encode()).decode()
        assert status(f"{address}/api/version") == 401
        assert status(f"{address}/api/version", Authorization=f"Basic {login}") == 200
        assert status(address, Accept="text/html") == 200
        assert status(f"{address}/v2/dashboard", Accept="text/html") == 200


def test_deploy_and_worker_run_with_the_services_own_settings_and_leases_outlive_the_server(
    stack: Stack, tmp_path: Path
) -> None:
    client = stack.environment("deploy") | {"PYTHONPATH": str(PROJECT), "GENLIB_HOME": str(tmp_path)}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], env=client, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with stack.running("mlflow"):
        with stack.running("prefect"):
            words = stack.services["deploy"]["command"]
            assert "deployment retrain/vae-digits: made" in run(*words[1:])
            lease = run("-c", TAKE_SLOT).strip()
        with stack.running("prefect"), stack.running("worker"):
            answer = json.loads(run("-c", ASK))
    pools, limit = answer["pools"], answer["limit"]
    assert {name: pool["type"] for name, pool in pools.items()} == POOLS
    template = json.loads(KUBERNETES_JOB.read_text())["job_configuration"]
    assert pools["kubernetes"]["base_job_template"]["job_configuration"] == template
    assert [pools[name]["status"] for name in POOLS] == ["READY", "NOT_READY", "NOT_READY"]
    assert (limit["limit"], limit["active_slots"]) == (1, 1)
    assert (Path(stack.environment("prefect")["PREFECT_HOME"]) / "concurrency_leases" / f"{lease}.json").exists()


def test_mlflows_server_answers_to_its_names_alone(stack: Stack) -> None:
    with stack.running("mlflow") as address:
        assert status(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0") == 200
        assert status(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", Host="evil.example") == 403


def test_a_server_that_starts_again_after_an_upgrade_of_its_tables_finds_what_it_had(stack: Stack) -> None:
    make = (
        "import mlflow, sys\n"
        "with mlflow.start_run() as run: mlflow.log_text('kept', 'note.txt')\n"
        "print(run.info.run_id)\n"
    )
    read = "import mlflow, sys; print(mlflow.artifacts.load_text(f'runs:/{sys.argv[1]}/note.txt'))"
    outputs = []
    for program in (make, read):
        with stack.running("mlflow") as address:
            words = [sys.executable, "-c", program, *outputs]
            environment = os.environ | {"MLFLOW_TRACKING_URI": address}
            done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
            outputs.append(done.stdout.splitlines()[-1])  # MLflow prints links before it
        upgrade = ["sh", "-c", 'mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"']
        subprocess.run(upgrade, env=stack.environment("mlflow"), check=True, capture_output=True)
    assert outputs[1] == "kept"
