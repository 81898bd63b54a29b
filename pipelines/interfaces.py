"""`make ui`: MLflow's and Prefect's pages on loopback, over what the pipeline made."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from types import FrameType

from genlib.errors import UserError
from genlib.home import home
from pipelines.servers import HOST, MLFLOW_PORT, PREFECT_PORT, Server, address, answers, prefect_command


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


def check_free(name: str, port: int) -> None:
    """UserError where something listens on the port already; it is left alone."""
    if answers(port):
        raise UserError(
            f"port {port} for {name} is taken; end what listens there, or choose another with "
            f"python -m pipelines ui --{name.lower()}-port PORT."
        )


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
