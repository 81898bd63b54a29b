from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from genlib.errors import UserError
from pipelines import environment


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing, and a home of its own."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "PREFECT_", "DO_NOT_TRACK"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ["GENLIB_HOME"] = str(tmp_path)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_one_folder_holds_everything_and_nobody_is_told(tmp_path: Path) -> None:
    environment.configure()
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert os.environ["PREFECT_HOME"] == f"{tmp_path}/prefect"
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert environment.artifact_root() == f"file://{tmp_path}/mlartifacts"


def test_what_is_set_is_kept() -> None:
    os.environ["MLFLOW_TRACKING_URI"] = "http://tracking.example:5000"
    os.environ["PREFECT_HOME"] = "/elsewhere"
    environment.configure()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://tracking.example:5000"
    assert os.environ["PREFECT_HOME"] == "/elsewhere"
    assert environment.artifact_root() is None


def test_local_defaults_need_no_server() -> None:
    environment.configure()
    environment.check_servers()


@pytest.mark.parametrize(
    ("variable", "address", "remedy"),
    [
        ("PREFECT_API_URL", "http://127.0.0.1:{port}/api", "prefect server start"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{port}", "mlflow server"),
        ("MLFLOW_TRACKING_URI", "postgresql+psycopg2://user:secret@127.0.0.1:{port}/mlflow", "start it"),
    ],
)
def test_an_unreachable_address_is_named_with_what_to_start(
    variable: str, address: str, remedy: str, closed_port: int
) -> None:
    os.environ[variable] = address.format(port=closed_port)
    environment.configure()
    with pytest.raises(UserError) as error:
        environment.check_servers()
    message = str(error.value)
    assert variable in message and f"127.0.0.1:{closed_port}" in message and remedy in message
    assert "\n" not in message and "secret" not in message


def test_a_server_that_accepts_and_never_answers_is_unreachable_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/api"
        environment.configure()
        with pytest.raises(UserError, match="PREFECT_API_URL .* cannot be reached"):
            environment.check_servers(timeout=0.2)


@pytest.mark.parametrize("uri", ["./mlruns", "file:mlruns", "sqlite:////no/such/folder/mlflow.db"])
def test_a_tracking_address_that_mlflow_cannot_use_is_refused(uri: str) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = uri
    environment.configure()
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        environment.check_servers()


def test_credentials_go_from_the_addresses_to_where_the_clients_look() -> None:
    os.environ["MLFLOW_TRACKING_URI"] = "https://me:se%40cret@tracking.example:5000/base"
    os.environ["PREFECT_API_URL"] = "http://you:hidden@flows.example:4200/api"
    environment.configure()
    assert os.environ["MLFLOW_TRACKING_URI"] == "https://tracking.example:5000/base"
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("me", "se@cret")
    assert os.environ["PREFECT_API_URL"] == "http://flows.example:4200/api"
    assert os.environ["PREFECT_API_AUTH_STRING"] == "you:hidden"


def test_passwords_in_messages_are_made_unreadable() -> None:
    said = environment.redacted("(postgresql+psycopg2://me:pa$s.w0rd@db:5432/x) and http://h:80/a@b cannot be reached")
    assert said == "(postgresql+psycopg2://me:***@db:5432/x) and http://h:80/a@b cannot be reached"


def test_a_training_may_begin_while_mlflow_is_away(closed_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{closed_port}"
    environment.configure()
    environment.check_servers(mlflow_may_be_away=True)
    assert "cannot be reached" in capsys.readouterr().err
