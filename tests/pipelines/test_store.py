"""MLflow's SQLite file: under paths with odd characters, damaged, and after GENLIB_HOME was moved."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from genlib.config.run import RunConfig
from genlib.errors import UserError
from pipelines.servers import environment, store
from pipelines.servers.store import check_path, check_sqlite, database_file, relocate, sqlite_uri
from tests.pipelines.conftest import Registrar

ODD = 'it\'s "odd" `x` #1? 50% of \\a;b&c=d+e'


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GENLIB_HOME, whose path has every odd character."""
    home = tmp_path / ODD
    home.mkdir()
    monkeypatch.setenv("GENLIB_HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_uri(home / "mlflow.db"))
    return home


@pytest.fixture
def database(own: Path) -> Path:
    """One with MLflow's tables, as far as they are asked for, that was written long ago."""
    file = own / "mlflow.db"
    with closing(sqlite3.connect(file)) as made, made:
        for table in store.TABLES:
            made.execute(f"CREATE TABLE {table} (artifact_location TEXT)")
    os.utime(file, (0, 0))
    return file


@pytest.mark.parametrize("characters", [*ODD.replace("a", ""), "%20", "%2", "é"])
def test_the_address_of_a_database_leads_to_its_file_whatever_its_path_has(tmp_path: Path, characters: str) -> None:
    file = tmp_path / f"a{characters}b" / "mlflow.db"
    file.parent.mkdir()
    engine = create_engine(sqlite_uri(file))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE here (a INTEGER)"))
    engine.dispose()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert database_file(sqlite_uri(file)) == file


def test_a_home_that_mlflow_would_read_as_another_path_is_refused() -> None:
    with pytest.raises(UserError, match=r"GENLIB_HOME \(/a%20b\) holds a percent sign .* \(/a b\); rename"):
        check_path(Path("/a%20b"))
    check_path(Path("/50% of"))


@pytest.mark.usefixtures("tracking")
def test_a_home_that_was_copied_is_mended_by_one_command_and_its_champion_loads_from_there(
    add: Registrar, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, old, new = config.registry.model, Path(os.environ["GENLIB_HOME"]), tmp_path / ODD
    add(1.0, log_anew=True)
    client = MlflowClient()
    client.set_model_version_tag(model, "1", "run_folder", f"{old}/runs/one")
    for folder in (f"mlartifacts/{model}", "runs/one"):
        (old / folder).mkdir(parents=True, exist_ok=True)
        shutil.copytree(old / folder, new / folder)
    with closing(sqlite3.connect(old / "mlflow.db")) as here, closing(sqlite3.connect(new / "mlflow.db")) as there:
        here.backup(there)
    shutil.rmtree(old / "runs/one")
    monkeypatch.setenv("GENLIB_HOME", str(new))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", environment.default_tracking_uri())
    with pytest.raises(UserError, match=r"was moved or copied here, .* genlib relocate") as error:
        environment.check_servers()
    assert str(old / "mlartifacts") in str(error.value)
    assert "paths of MLflow's database are in" in relocate()
    environment.check_servers()
    (backup,) = new.glob("mlflow.db.*.backup")
    assert relocate().endswith("nothing was changed.")
    assert list(new.glob("mlflow.db.*.backup")) == [backup]
    client = MlflowClient()
    assert client.get_model_version_download_uri(model, "1").startswith(f"{(new / 'mlartifacts').as_uri()}/")
    assert client.get_model_version(model, "1").tags["run_folder"] == f"{new}/runs/one"

    def images(alias: str) -> int:
        return len(mlflow.pyfunc.load_model(f"models:/{model}@{alias}").predict(pd.DataFrame({"count": [3]})))

    assert images("champion") == 3
    run = client.create_run(client.get_experiment_by_name(model).experiment_id)
    assert add(2.0, run.info.run_id, log_anew=True).alias == "challenger"
    assert images("challenger") == 3
    assert sum(1 for _ in (new / "mlartifacts" / model).rglob("MLmodel")) == 2


def test_a_link_to_the_home_is_the_home(database: Path, own: Path, tmp_path: Path) -> None:
    (own / "mlartifacts").mkdir()
    (tmp_path / "link").symlink_to(own)
    with closing(sqlite3.connect(database)) as known, known:
        known.execute("INSERT INTO experiments VALUES (?)", (f"{(tmp_path / 'link' / 'mlartifacts').as_uri()}/m",))
        known.execute("INSERT INTO experiments VALUES ('s3://elsewhere/m'), ('mlflow-artifacts:/1'), (NULL)")
    check_sqlite(os.environ["MLFLOW_TRACKING_URI"])


def test_relocating_a_home_without_a_database_says_so(own: Path) -> None:
    with pytest.raises(UserError, match="there is no MLflow database in GENLIB_HOME"):
        relocate()


def damage(database: Path, how: str) -> None:
    if how == "random":
        database.write_bytes(os.urandom(5000))
    elif how == "middle":
        content = bytearray(database.read_bytes())
        content[200:] = os.urandom(len(content) - 200)
        database.write_bytes(content)
    elif how == "empty":
        database.write_bytes(b"")
        (database.parent / "mlartifacts" / "model").mkdir(parents=True)
    else:
        with closing(sqlite3.connect(database)) as known, known:
            known.execute(f"DROP TABLE {how}")
        os.utime(database, (0, 0))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("random", "cannot be read (file is not a database)"),
        ("middle", "cannot be read (database disk image is malformed)"),
        ("empty", "is empty, and its models and runs are gone"),
        ("model_versions", "lacks model_versions: it is damaged, or of an older MLflow"),
        ("tags", "lacks tags"),
    ],
)
def test_a_damaged_database_is_named_with_what_to_do(database: Path, how: str, said: str) -> None:
    check_sqlite(os.environ["MLFLOW_TRACKING_URI"])
    damage(database, how)
    with pytest.raises(UserError) as error:
        check_sqlite(os.environ["MLFLOW_TRACKING_URI"])
    message = str(error.value)
    assert f"MLflow's database {database} {said}" in message and "restore it from a backup" in message


def test_a_database_that_is_new_or_in_the_making_is_left_to_mlflow(database: Path) -> None:
    os.utime(database)
    damage(database, "tags")
    os.utime(database)
    check_sqlite(os.environ["MLFLOW_TRACKING_URI"])
    database.write_bytes(b"")
    check_sqlite(os.environ["MLFLOW_TRACKING_URI"])
