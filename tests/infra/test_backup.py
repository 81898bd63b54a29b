"""What backup.sh kept, restore.sh brings back: on a real PostgreSQL, with a real MLflow server before and after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CONFIGS, PROJECT
from tests.infra.compose import INFRA
from tests.infra.conftest import BINARIES, Stack
from tests.postgresql import query

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
MODEL = "kept"

REGISTER = """
import sys
from pathlib import Path
import mlflow
from pipelines.serving.packaging import log_sampler
mlflow.set_experiment("kept")
with mlflow.start_run() as run:
    mlflow.log_metric("fd_classifier", 4.5)
logged = log_sampler(run.info.run_id, Path(sys.argv[1]) / "sampler")
client = mlflow.MlflowClient()
client.create_registered_model("kept")
version = client.create_model_version("kept", logged.model_uri, run.info.run_id, model_id=logged.model_id)
client.set_registered_model_alias("kept", "champion", version.version)
"""
PREDICT = """
import sys
import mlflow, numpy, pandas
model = mlflow.pyfunc.load_model("models:/kept@champion")
numpy.save(sys.argv[1], model.predict(pandas.DataFrame({"count": [8]}), params={"seed": 3}))
run = mlflow.MlflowClient().get_model_version_by_alias("kept", "champion").run_id
print(mlflow.get_run(run).data.metrics)
"""
PREFECT_TABLES = "CREATE TABLE block (name text); CREATE EXTENSION pg_trgm; INSERT INTO block VALUES ('kept')"


class Machine:
    """A registered model and its run folder, with the variables of compose.yaml's service `backup`."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.home, self.run_folder = folder / "home", folder / "home" / "runs" / "kept"
        self.artifacts = stack.folder / "artifacts"
        self.backups = folder / "backups"

    def script(self, name: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
        given = os.environ | self.stack.environment("backup") | self.stack.database | {"GENLIB_HOME": str(self.home)}
        given["PATH"] = f"{BINARIES}:{given['PATH']}"
        return subprocess.run(
            ["bash", str(INFRA / name), *map(str, arguments)],
            env=given,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )

    def python(self, *arguments: Path | str, address: str = "") -> str:
        given = os.environ | {"GENLIB_HOME": str(self.home), "PYTHONPATH": str(PROJECT), "MLFLOW_TRACKING_URI": address}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=given, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def predictions(self, name: str) -> tuple[np.ndarray, str]:
        """Of the champion, by a server that is started for it."""
        with self.stack.running("mlflow") as address:
            said = self.python("-c", PREDICT, self.folder / name, address=address)
        return np.load(self.folder / name), said

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (self.home / "runs").rglob("*") if path.is_file()}

    def destroy(self) -> None:
        query(self.stack.database, "DROP DATABASE mlflow WITH (FORCE)")
        query(self.stack.database, "DROP DATABASE prefect WITH (FORCE)")
        shutil.rmtree(self.artifacts)
        shutil.rmtree(self.home)


@pytest.fixture(scope="module")
def machine(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(stack, tmp_path_factory.mktemp("machine"))
    tiny = ["training.steps=5", "training.batch_size=16", "method.network.hidden_sizes=[8]", "evaluation.every=null"]
    settings = [word for setting in tiny for word in ("--set", setting)]
    train = ["-m", "genlib", "train", CONFIGS / "vae_digits.yaml", *settings]
    machine.python(*train, "--run-dir", machine.run_folder)
    with stack.running("mlflow") as address:
        machine.python("-c", REGISTER, machine.run_folder, address=address)
    login = {"PGUSER": "prefect", "PGPASSWORD": stack.settings["PREFECT_DATABASE_PASSWORD"]}
    query(stack.database, PREFECT_TABLES, "prefect", **login)
    yield machine


def test_what_was_destroyed_comes_back_and_predicts_the_same(machine: Machine) -> None:
    images, said = machine.predictions("before.npy")
    files = machine.files()
    done = machine.script("backup.sh", machine.backups)
    assert done.returncode == 0, done.stderr
    (kept,) = machine.backups.iterdir()
    machine.destroy()

    done = machine.script("restore.sh", kept)
    assert done.returncode == 0, done.stderr
    again, said_again = machine.predictions("after.npy")
    assert said_again == said == "{'fd_classifier': 4.5}\n"
    np.testing.assert_array_equal(again, images)
    assert machine.files() == files
    login = {"PGUSER": "prefect", "PGPASSWORD": machine.stack.settings["PREFECT_DATABASE_PASSWORD"]}
    assert query(machine.stack.database, "SELECT name FROM block", "prefect", **login) == "kept"
    query(machine.stack.database, "DROP TABLE IF EXISTS mine; CREATE TABLE mine ()", "prefect", **login)
    with pytest.raises(subprocess.CalledProcessError):
        query(machine.stack.database, "SELECT 1", "mlflow", **login)


def test_a_restore_sets_aside_what_was_there(machine: Machine) -> None:
    kept = sorted(machine.backups.iterdir())[0]
    (machine.run_folder / "later").touch()
    done = machine.script("restore.sh", kept)
    assert done.returncode == 0, done.stderr
    assert not (machine.run_folder / "later").exists()
    assert list(machine.home.glob("before-*/runs/kept/later"))
    names = query(machine.stack.database, "SELECT datname FROM pg_database").splitlines()
    assert {name.split("_before_")[0] for name in names if "_before_" in name} == {"prefect", "mlflow"}
    assert not [name for name in names if name.endswith("_restored")]


def test_a_restore_waits_until_nobody_uses_the_databases(machine: Machine) -> None:
    kept = sorted(machine.backups.iterdir())[0]
    with machine.stack.running("mlflow"):
        done = machine.script("restore.sh", kept)
    assert done.returncode == 2
    assert done.stderr == "error: database mlflow is in use; stop the servers first.\n"


def test_a_damaged_backup_is_refused_before_anything_is_touched(machine: Machine, tmp_path: Path) -> None:
    kept = sorted(machine.backups.iterdir())[0]
    damaged = shutil.copytree(kept, tmp_path / "damaged")
    with (damaged / "mlflow.dump").open("r+b") as file:
        file.seek(1000)
        file.write(b"other")
    names = query(machine.stack.database, "SELECT datname FROM pg_database")
    done = machine.script("restore.sh", damaged)
    assert done.returncode == 1
    assert "mlflow.dump: FAILED" in done.stdout
    assert query(machine.stack.database, "SELECT datname FROM pg_database") == names


def test_a_backup_that_fails_leaves_nothing_that_could_be_taken_for_one(machine: Machine, tmp_path: Path) -> None:
    query(machine.stack.database, "ALTER DATABASE mlflow RENAME TO elsewhere")
    try:
        assert machine.script("backup.sh", tmp_path / "backups").returncode != 0
    finally:
        query(machine.stack.database, "ALTER DATABASE elsewhere RENAME TO mlflow")
    assert not list((tmp_path / "backups").iterdir())
