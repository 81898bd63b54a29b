"""What Prefect and MLflow must find in the environment before they are imported, and whether their servers answer."""

from __future__ import annotations

import os
import re
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from genlib.errors import UserError
from genlib.home import home
from genlib.provenance import PROJECT

HEARTBEAT = 30  # seconds, Prefect's least; a flow run that is silent for three times as long counts as crashed
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def configure(by_worker: bool = False) -> None:
    """Set a default for each variable that is unset; UserError if GENLIB_HOME cannot be written to.

    A worker runs flows in a folder that it removes: there GENLIB_HOME is by default the project's.
    """
    if by_worker:
        os.environ.setdefault("GENLIB_HOME", str(PROJECT / ".genlib"))
    folder = home()
    os.environ["GENLIB_HOME"] = str(folder)  # absolute, for processes that start elsewhere
    defaults = {
        "DO_NOT_TRACK": "true",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # two busy cores need more than 20
        "PREFECT_CLIENT_MAX_RETRIES": "8",  # waiting twice as long each time: a server may be away for eight minutes
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "genlib",  # what the engine warns of is in the flow run's log too
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # other commands have no run whose log it would be in
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",  # its first write meets a locked database
        "MLFLOW_TRACKING_URI": default_tracking_uri(),
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # the mirror tries again by itself
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    hide_credentials()


def hide_credentials() -> None:
    """Take user and password out of the servers' addresses, which are shown and logged, to where their clients look."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith("http") and (found := urlsplit(uri)).username:
        os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(found.username))
        os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(found.password or ""))
        os.environ["MLFLOW_TRACKING_URI"] = without_credentials(uri)
    api = os.environ.get("PREFECT_API_URL", "")
    if (found := urlsplit(api)).username:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{unquote(found.username)}:{unquote(found.password or '')}")
        os.environ["PREFECT_API_URL"] = without_credentials(api)


def without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def redacted(text: str) -> str:
    """With the passwords of all addresses in it made unreadable."""
    return re.sub(r"(?<=://)([^/@\s:]*):[^/@\s]+@", r"\1:***@", text)


def default_tracking_uri() -> str:
    return f"sqlite:///{home() / 'mlflow.db'}"


def artifact_root() -> str | None:
    """Where artifacts go beside our own database; None where a server or another database decides."""
    ours = os.environ["MLFLOW_TRACKING_URI"] == default_tracking_uri()
    return (home() / "mlartifacts").as_uri() if ours else None


def check_servers(timeout: float = 5.0, mlflow_may_be_away: bool = False) -> None:
    """UserError, naming the address and what to start, where MLflow or Prefect does not answer.

    A training can wait for MLflow: where it `may_be_away`, that is a warning.
    """
    if prefect := os.environ.get("PREFECT_API_URL"):
        check_http("PREFECT_API_URL", prefect, "start `prefect server start`", timeout)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    address = urlsplit(uri)
    is_remote = address.scheme in ("http", "https") or (address.hostname and not address.scheme.startswith("sqlite"))
    if address.scheme.startswith("sqlite"):
        check_sqlite(uri, Path(address.path[1:]))
    elif not is_remote:
        raise UserError(
            f"MLFLOW_TRACKING_URI ({redacted(uri)}) is no address that MLflow can use; give http://HOST:PORT of an "
            "`mlflow server`, sqlite:////ABSOLUTE/PATH, or unset it for a database under GENLIB_HOME."
        )
    try:
        if address.scheme in ("http", "https"):
            check_http("MLFLOW_TRACKING_URI", uri, "start `mlflow server`", timeout)
        elif is_remote:
            port = address.port or DATABASE_PORTS.get(address.scheme.partition("+")[0], 0)
            check_database(str(address.hostname), port, timeout)
    except UserError as error:
        if not mlflow_may_be_away:
            raise
        print(f"warning: {error} The run goes on meanwhile, and MLflow is told once it answers.", file=sys.stderr)


def check_http(variable: str, address: str, remedy: str, timeout: float) -> None:
    """Any answer will do, a refusal included: what is asked is whether a server is there."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise UserError(f"{variable} ({redacted(address)}) is no http address; give http://HOST:PORT.")
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=timeout):  # noqa: S310 - http, as checked
            pass
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{variable} ({redacted(address)}) cannot be reached ({reason}); {remedy} there, or unset {variable} to "
            "work locally."
        ) from error


def check_sqlite(uri: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI ({uri}): its folder {path.parent} does not exist; make it first.")


def check_database(host: str, port: int, timeout: float) -> None:
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI names a database at {host}:{port} that cannot be reached ({error}); start it, "
            "or unset MLFLOW_TRACKING_URI to work locally."
        ) from error
