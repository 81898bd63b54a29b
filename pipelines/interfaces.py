"""`make ui`: MLflow's and Prefect's pages on loopback, over what the pipeline made."""

from __future__ import annotations

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
from types import FrameType

from genlib.errors import UserError
from genlib.home import home
from pipelines.launch import TETHER

HOST, MLFLOW_PORT, PREFECT_PORT = "127.0.0.1", 5000, 4200
PATIENCE = 120.0  # seconds for a server to start
GRACE = 10.0  # seconds from SIGTERM to SIGKILL


@dataclass(frozen=True)
class Server:
    """One of the two, in a session of its own, so that Ctrl-C reaches us alone and we end it in good order."""

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


def address(port: int) -> str:
    return f"http://{HOST}:{port}"


def serve(mlflow_port: int = MLFLOW_PORT, prefect_port: int = PREFECT_PORT) -> None:
    """Serve both until Ctrl-C. A server that the environment names already is pointed at, not started."""
    servers: list[tuple[str, int, list[str]]] = []
    shown: list[tuple[str, str]] = []
    uri, api = os.environ["MLFLOW_TRACKING_URI"], os.environ.get("PREFECT_API_URL")
    if uri.startswith("http"):
        shown.append(("MLflow", uri))
    else:
        servers.append(("MLflow", mlflow_port, mlflow_command(uri, mlflow_port)))
    if api:
        shown.append(("Prefect", api.removesuffix("/").removesuffix("/api")))
    else:
        servers.append(("Prefect", prefect_port, prefect_command(prefect_port)))
    os.environ["PREFECT_SERVER_UI_API_URL"] = f"{address(prefect_port)}/api"  # its page asks port 4200 otherwise
    for name, port, _ in servers:
        check_free(name, port)
    with ExitStack() as stack:
        running = []
        for name, port, command in servers:
            running.append(stack.enter_context(Server.started(name, port, command)))
        for server in running:
            server.wait_until_up()
            shown.append((server.name, address(server.port)))
        for name, where in shown:
            print(f"{name:<8}{where}", flush=True)
        if running:
            print(f"Ctrl-C ends {'both' if len(running) > 1 else 'it'}.", flush=True)
            watch(running)


def mlflow_command(uri: str, port: int) -> list[str]:
    options = {
        "--backend-store-uri": uri,
        "--artifacts-destination": str(home() / "mlartifacts"),
        "--host": HOST,
        "--port": str(port),
        "--allowed-hosts": f"{HOST}:{port},localhost:{port}",
        "--workers": "1",
    }
    return [sys.executable, "-m", "mlflow", "server", *(word for option in options.items() for word in option)]


def prefect_command(port: int) -> list[str]:
    return [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]


def check_free(name: str, port: int) -> None:
    """UserError where something listens on the port already; it is left alone."""
    if answers(port):
        raise UserError(
            f"port {port} for {name} is taken; end what listens there, or choose another with "
            f"python -m pipelines ui --{name.lower()}-port PORT."
        )


def answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex((HOST, port)) == 0


def watch(servers: list[Server]) -> None:
    """Return at Ctrl-C or SIGTERM; UserError where a server ends by itself."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        while True:
            for server in servers:
                server.check_alive()
            time.sleep(0.5)
    except KeyboardInterrupt:
        print()


def end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all that the server started, SIGKILL where that is not enough."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return
