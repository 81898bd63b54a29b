"""MLflow and Prefect as commands meet them: configured, asked whether they answer, and blamed in one line."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from functools import wraps

from genlib.cli.command import Run
from genlib.runtime.interruption import leave, stop_signals
from pipelines.servers import environment

SERVICES = {  # by the package that raises: the service's name, and the variable that holds its address
    "mlflow": ("MLflow", "MLFLOW_TRACKING_URI"),
    "sqlalchemy": ("MLflow's database", "MLFLOW_TRACKING_URI"),
    "requests": ("MLflow's server", "MLFLOW_TRACKING_URI"),
    "prefect": ("Prefect", "PREFECT_API_URL"),
    "httpx": ("Prefect's server", "PREFECT_API_URL"),
}


def with_services(run: Run) -> Run:
    """A command that MLflow, Prefect and their databases can fail: what they raise is one line, and exit code 1."""

    @wraps(run)
    def blamed(options: Namespace) -> int:
        try:
            return run(options)
        except Exception as error:
            package = type(error).__module__.partition(".")[0]
            if package not in SERVICES:
                raise
            name, variable = SERVICES[package]
            where = environment.redacted(os.environ.get(variable, ""))
            print(f"error: {name} ({where}) failed: {environment.reason_of(error)}", file=sys.stderr)
            return 1

    return blamed


def connect() -> None:
    """Configure the environment; UserError where a server does not answer."""
    environment.configure()
    environment.check_servers()
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)  # at the end it says that it is still sending


def leave_on_signals() -> None:
    """Let signals end this process by way of what is registered for its exit; their default action would not."""
    for number in stop_signals():
        if number != signal.SIGINT:  # it is KeyboardInterrupt already
            signal.signal(number, leave)
