from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

import psutil
import pytest

from genlib.errors import UserError
from pipelines.servers import interfaces
from pipelines.servers.interfaces import check_free
from pipelines.servers.local import HOST, Server, answers, free_port, ports_file, ui_ports
from pipelines.tracking.links import version_page


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.usefixtures("genlib_home")
def test_a_server_lives_as_long_as_the_body(port: int) -> None:
    command = [sys.executable, "-m", "http.server", str(port), "--bind", HOST]
    with Server.started("Page", port, command) as server:
        server.wait_until_up()
        assert answers(port)
    assert not answers(port)
    assert not psutil.pid_exists(server.process.pid)


@pytest.mark.usefixtures("genlib_home")
def test_a_server_that_ends_by_itself_is_an_error_that_names_its_output(port: int) -> None:
    with (
        pytest.raises(UserError, match=r"Page's server ended \(3\); its output is in .*page-server.log"),
        Server.started("Page", port, [sys.executable, "-c", "print('why'); raise SystemExit(3)"]) as server,
    ):
        server.wait_until_up()
    assert server.log.read_text() == "why\n"


def test_a_taken_port_is_an_error_and_its_owner_is_left_alone() -> None:
    with socket.create_server((HOST, 0)) as owner:
        taken = owner.getsockname()[1]
        with pytest.raises(UserError, match=f"port {taken} for MLflow is taken by process {os.getpid()} .*") as error:
            check_free("MLflow", taken)
        assert answers(taken)
    free = re.search(r"choose another: genlib ui --mlflow-port (\d+)$", str(error.value))
    assert free and not answers(int(free.group(1)))


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((70000, None), r"--mlflow-port \(70000\) must be 1 to 65535"),
        ((None, 0), r"--prefect-port \(0\) must be 1 to 65535"),
        ((4200, None), "--mlflow-port and --prefect-port are both 4200"),
    ],
)
def test_numbers_that_are_no_ports_are_refused(
    ports: tuple[int | None, int | None], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path))
    with pytest.raises(UserError, match=said):
        interfaces.serve(*ports)


def test_links_and_the_next_time_have_the_ports_that_the_interfaces_were_given(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////mlflow.db")
    monkeypatch.setenv("PREFECT_API_URL", "http://flows.example/api")
    monkeypatch.delenv("GENLIB_MLFLOW_URL", raising=False)
    assert version_page("m", "1").startswith("http://127.0.0.1:5000/")

    def page(uri: str, port: int) -> list[str]:
        return [sys.executable, "-m", "http.server", str(port), "--bind", HOST]

    served: list[int] = []
    monkeypatch.setattr(interfaces, "mlflow_command", page)
    monkeypatch.setattr(interfaces, "watch", lambda servers: served.extend(server.port for server in servers))
    interfaces.serve(mlflow_port=port)
    assert version_page("m", "1").startswith(f"http://127.0.0.1:{port}/")
    interfaces.serve()
    assert served == [port, port]
    ports_file().write_text('{"mlflow": "none"}')
    assert ui_ports() == (5000, 4200)


def test_servers_that_the_environment_names_are_shown_and_not_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example")
    monkeypatch.setenv("PREFECT_API_URL", "http://flows.example/api")
    interfaces.serve()
    assert capsys.readouterr().out == "MLflow  http://tracking.example\nPrefect http://flows.example\n"
