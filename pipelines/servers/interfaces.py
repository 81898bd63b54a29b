"""`make ui`: MLflow's and Prefect's pages on loopback, over what the pipeline made."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from contextlib import ExitStack, suppress
from types import FrameType

import psutil

from genlib.errors import UserError
from genlib.storage.files import write_json
from pipelines.servers.environment import redacted
from pipelines.servers.local import (
    HOST,
    Ports,
    Server,
    address,
    answers,
    free_port,
    ports_file,
    prefect_command,
    ui_ports,
)
from pipelines.servers.store import own_artifacts

MOST = 65535  # the largest port
COMMAND_LENGTH = 80  # characters shown of a process's command line


def serve(mlflow_port: int | None = None, prefect_port: int | None = None) -> None:
    """Serve both until Ctrl-C. A server that the environment names already is pointed at, not started.

    Ports that are not named are those of the last time; links of later runs lead to them.
    """
    last = ui_ports()
    ports = Ports(
        last.mlflow if mlflow_port is None else mlflow_port, last.prefect if prefect_port is None else prefect_port
    )
    check_ports(ports)
    mlflow_port, prefect_port = ports
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
    if ports != last:
        write_json(ports_file(), ports._asdict())
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
        "--artifacts-destination": own_artifacts(),
        "--host": HOST,
        "--port": str(port),
        "--allowed-hosts": f"{HOST}:{port},localhost:{port}",
        "--workers": "1",
    }
    return [sys.executable, "-m", "mlflow", "server", *(word for option in options.items() for word in option)]


def check_ports(ports: Ports) -> None:
    """UserError for numbers that are no ports, or one for both."""
    for name, port in ports._asdict().items():
        if not 1 <= port <= MOST:
            raise UserError(f"--{name}-port ({port}) must be 1 to {MOST}; leave it out for the usual one.")
    if ports.mlflow == ports.prefect:
        raise UserError(f"--mlflow-port and --prefect-port are both {ports.mlflow}; give each its own.")


def check_free(name: str, port: int) -> None:
    """UserError where something listens on the port already; it is left alone."""
    if answers(port):
        raise UserError(
            f"port {port} for {name} is taken{listener(port)}; end what listens there, or choose another: "
            f"genlib ui --{name.lower()}-port {free_port()}"
        )


def listener(port: int) -> str:
    """' by process PID (COMMAND)', where the system tells."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f" by process {connection.pid} ({textwrap.shorten(redacted(command), COMMAND_LENGTH)})"
    return ""


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
