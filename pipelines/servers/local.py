"""A server as a separate process that runs as long as a with block, and never longer than this process."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from genlib.errors import UserError
from genlib.storage.files import read_json
from genlib.storage.home import home
from pipelines.launching.launch import TETHER

HOST = "127.0.0.1"
MLFLOW_PORT, PREFECT_PORT = 5000, 4200  # of `make ui`, unless others are named
PATIENCE = 120.0  # seconds for a server to start
GRACE = 10.0  # seconds from SIGTERM to SIGKILL
started_here: set[str] = set()  # addresses of Prefect's API that end with this process


@dataclass(frozen=True)
class Server:
    """A server process in a session of its own, so that signals to our process group leave its end to us."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    @contextmanager
    def started(cls, name: str, port: int, command: list[str]) -> Iterator[Server]:
        """A server that lives as long as the body."""
        log = home() / f"{name.lower()}-server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield cls(name, port, process, log)
        finally:
            end_session(process)

    def wait_until_up(self) -> None:
        """UserError where it ends, or does not answer in time."""
        deadline = time.monotonic() + PATIENCE
        while not answers(self.port):
            self.check_alive()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{self.name}'s server did not answer in {PATIENCE:.0f} s; its output is in {self.log}."
                )
            time.sleep(0.2)

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise UserError(f"{self.name}'s server ended ({self.process.returncode}); its output is in {self.log}.")


class Ports(NamedTuple):
    """The ports of `make ui`."""

    mlflow: int = MLFLOW_PORT
    prefect: int = PREFECT_PORT


def ui_ports() -> Ports:
    """The ports that `make ui` was given last in this GENLIB_HOME: links lead there."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        last = read_json(ports_file())
        return Ports(int(last["mlflow"]), int(last["prefect"]))
    return Ports()


def ports_file() -> Path:
    return home() / "ui.json"


def start_local_prefect() -> Server | None:
    """Prefect's API for this process and its flows, over the database in PREFECT_HOME; none where one is named.

    Call before importing prefect. Unlike the temporary server that Prefect starts by itself, this one survives the
    signals that end a flow, so that it can be told how the flow ended.
    """
    if os.environ.get("PREFECT_API_URL"):
        return None
    print("Starting a local Prefect server ...", file=sys.stderr, flush=True)
    port = free_port()
    os.environ["PREFECT_API_URL"] = f"{address(port)}/api"
    started_here.add(os.environ["PREFECT_API_URL"])
    os.environ.setdefault("PREFECT_UI_URL", address(ui_ports().prefect))  # links lead to where `make ui` serves
    stack = ExitStack()
    atexit.register(stack.close)  # registered before Prefect is imported, so run after it has sent its last logs
    return stack.enter_context(Server.started("Prefect", port, [*prefect_command(port), "--no-ui", "--no-scheduler"]))


def shared_prefect() -> str | None:
    """The address of Prefect's API where one is named that outlives this process; None for one that we started."""
    api = os.environ.get("PREFECT_API_URL")
    return None if api in started_here else api


def prefect_command(port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def free_port() -> int:
    with socket.socket() as server:
        server.bind((HOST, 0))
        return server.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


def end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all that the server started, SIGKILL where that is not enough."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return
