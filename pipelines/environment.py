"""What Prefect and MLflow must find in the environment before they are imported, and whether their servers answer."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from genlib.errors import UserError
from genlib.home import home

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def configure() -> None:
    """Set a default for each variable that is unset; UserError if GENLIB_HOME cannot be written to."""
    folder = home()
    os.environ["GENLIB_HOME"] = str(folder)  # absolute, for processes that start elsewhere
    defaults = {
        "DO_NOT_TRACK": "true",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # two busy cores need more than 20
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # its first write meets a locked database
        "MLFLOW_TRACKING_URI": default_tracking_uri(),
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # the mirror tries again by itself
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def default_tracking_uri() -> str:
    return f"sqlite:///{home() / 'mlflow.db'}"


def artifact_root() -> str | None:
    """Where artifacts go beside our own database; None where a server or another database decides."""
    ours = os.environ["MLFLOW_TRACKING_URI"] == default_tracking_uri()
    return (home() / "mlartifacts").as_uri() if ours else None


def check_servers(timeout: float = 5.0) -> None:
    """UserError, naming the address and what to start, where MLflow or Prefect does not answer."""
    prefect, mlflow = os.environ.get("PREFECT_API_URL"), os.environ["MLFLOW_TRACKING_URI"]
    if prefect:
        check_http("PREFECT_API_URL", prefect, "start `prefect server start`", timeout)
    address = urlsplit(mlflow)
    if address.scheme in ("http", "https"):
        check_http("MLFLOW_TRACKING_URI", mlflow, "start `mlflow server`", timeout)
    elif address.scheme.startswith("sqlite"):
        check_sqlite(mlflow, Path(address.path[1:]))
    elif address.hostname:
        port = address.port or DATABASE_PORTS.get(address.scheme.partition("+")[0], 0)
        check_database(mlflow, address.hostname, port, timeout)
    else:
        raise UserError(
            f"MLFLOW_TRACKING_URI ({mlflow}) is no address that MLflow can use; give http://HOST:PORT of an "
            "`mlflow server`, sqlite:////ABSOLUTE/PATH, or unset it for a database under GENLIB_HOME."
        )


def check_http(variable: str, address: str, remedy: str, timeout: float) -> None:
    """Any answer will do, a refusal included: what is asked is whether a server is there."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=timeout):
            pass
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{variable} ({address}) cannot be reached ({reason}); {remedy} there, or unset {variable} to work locally."
        ) from error


def check_sqlite(uri: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI ({uri}): its folder {path.parent} does not exist; make it first.")


def check_database(uri: str, host: str, port: int, timeout: float) -> None:
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI names a database at {host}:{port} that cannot be reached ({error}); start it, "
            "or unset MLFLOW_TRACKING_URI to work locally."
        ) from error
