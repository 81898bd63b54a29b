from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from genlib.errors import UserError
from pipelines.servers import environment


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


def test_an_empty_variable_is_an_unset_one(tmp_path: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = os.environ["PREFECT_API_URL"] = ""
    environment.configure()
    environment.check_servers()
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/mlflow.db"


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


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        *(("MLFLOW_TRACKING_URI", uri) for uri in ("./mlruns", "file:mlruns", "sqlite:////no/such/folder/mlflow.db")),
        *(("MLFLOW_TRACKING_URI", uri) for uri in ("htp://x", "htp:/x", "localhost:5000", "http://", "http://[::1")),
        *(("MLFLOW_TRACKING_URI", uri) for uri in ("http://localhost:70000", "postgresql://h:70000/x", "127.0.0.1")),
        *(("MLFLOW_TRACKING_URI", uri) for uri in ("sqlite://", "sqlite:////tmp", "databricks")),
        *(
            ("PREFECT_API_URL", uri)
            for uri in ("htp:/x", "localhost:4200", "http://", "http://h:70000/api", "http://[x")
        ),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(variable: str, address: str) -> None:
    os.environ[variable] = address
    with pytest.raises(UserError, match=variable) as error:
        environment.configure()
        environment.check_servers(mlflow_may_be_away=True)
    assert address in str(error.value) and "\n" not in str(error.value)


class Page(BaseHTTPRequestHandler):
    """Answers as Prefect's server does: its API under /api, and else its pages, whatever their address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"true" if self.path == "/api/health" else b"<html>Prefect</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def prefect() -> Iterator[str]:
    """The address of a stand-in for Prefect's server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_of_prefects_pages_is_answered_with_that_of_its_api(prefect: str) -> None:
    os.environ["PREFECT_API_URL"] = f"{prefect}/api"
    environment.configure()
    environment.check_servers()
    for address in (prefect, f"{prefect}/"):
        os.environ["PREFECT_API_URL"] = address
        with pytest.raises(UserError, match=f"answers, and not as Prefect's API does, which is at {prefect}/api where"):
            environment.check_servers()


def test_a_server_that_is_not_mlflow_is_refused_though_mlflow_may_be_away(prefect: str) -> None:
    for address in (prefect, f"{prefect}/api/"):
        os.environ["MLFLOW_TRACKING_URI"] = address
        environment.configure()
        with pytest.raises(UserError, match=f"{address}.* answers, and not as MLflow does"):
            environment.check_servers(mlflow_may_be_away=True)


def test_servers_of_this_machine_are_asked_without_a_proxy(prefect: str, closed_port: int) -> None:
    proxy = f"http://127.0.0.1:{closed_port}"
    os.environ |= {"http_proxy": proxy, "HTTP_PROXY": proxy, "NO_PROXY": "intern.example", "no_proxy": ""}
    os.environ["PREFECT_API_URL"] = f"{prefect}/api"
    environment.configure()
    environment.configure()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intern.example,127.0.0.1,localhost"
    environment.check_servers()


def test_prefects_database_is_under_the_home_whatever_its_path_has(tmp_path: Path) -> None:
    environment.configure()
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in os.environ
    os.environ["GENLIB_HOME"] = str(tmp_path / "#1?")
    del os.environ["PREFECT_HOME"]
    environment.configure()
    address = f"sqlite+aiosqlite:///file:{tmp_path}/%231%3F/prefect/prefect.db?uri=true"
    assert os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == address


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
