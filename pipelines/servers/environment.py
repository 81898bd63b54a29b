"""The environment that Prefect and MLflow need before they are imported, and checks that their servers answer."""

from __future__ import annotations

import os
import re
import socket
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from genlib.errors import UserError
from genlib.storage.home import home
from pipelines.servers.store import check_sqlite, is_own, own_artifacts, own_database, sqlite_uri

HEARTBEAT = 30  # seconds, Prefect's least; a flow run that is silent for three times as long counts as crashed
NO_PROXY, LOOPBACK = ("no_proxy", "NO_PROXY"), ("127.0.0.1", "localhost")
PREFECT_DATABASE = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
ENOUGH = 100  # bytes of an answer that tell whose it is
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def configure(by_worker: bool = False) -> None:
    """Set a default for each variable that is unset or empty; UserError if GENLIB_HOME cannot be written to.

    A worker runs flows in a folder that it removes: there GENLIB_HOME is by default relative to the worker's own.
    """
    if by_worker:
        os.environ.setdefault("GENLIB_HOME", str(folder_of_worker() / ".genlib"))
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
        os.environ[name] = os.environ.get(name) or value
    database = sqlite_uri(Path(os.environ["PREFECT_HOME"]) / "prefect.db", "sqlite+aiosqlite")
    if database.endswith("?uri=true") and not any(os.environ.get(name) for name in PREFECT_DATABASE):
        os.environ[PREFECT_DATABASE[0]] = database  # the address that Prefect would make ends at a '?' in the path
    reach_loopback_directly()
    hide_credentials()


def folder_of_worker() -> Path:
    """The folder that the worker which started this process was started in."""
    import psutil

    try:
        return Path(psutil.Process(os.getppid()).cwd())
    except (psutil.Error, OSError):  # a container's first process, or another user's
        return Path.cwd()


def reach_loopback_directly() -> None:
    """Leave this machine's own servers out of what is asked through a proxy, in this process and those it starts."""
    known = [host.strip() for name in NO_PROXY for host in os.environ.get(name, "").split(",") if host.strip()]
    for name in NO_PROXY:
        os.environ[name] = ",".join(dict.fromkeys([*known, *LOOPBACK]))


def hide_credentials() -> None:
    """Take user and password out of the servers' addresses, which are shown and logged, to where their clients look."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith("http") and (found := split("MLFLOW_TRACKING_URI", uri)).username:
        os.environ.setdefault("MLFLOW_TRACKING_USERNAME", unquote(found.username))
        os.environ.setdefault("MLFLOW_TRACKING_PASSWORD", unquote(found.password or ""))
        os.environ["MLFLOW_TRACKING_URI"] = without_credentials(uri)
    api = os.environ.get("PREFECT_API_URL", "")
    if (found := split("PREFECT_API_URL", api)).username:
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{unquote(found.username)}:{unquote(found.password or '')}")
        os.environ["PREFECT_API_URL"] = without_credentials(api)


def split(variable: str, address: str) -> SplitResult:
    """The parts of an address; UserError, naming the variable, for one that is none."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - ValueError for one that is no number up to 65535
    except ValueError as error:
        raise UserError(f"{variable} ({redacted(address)}) is no address ({error}); give http://HOST:PORT.") from error
    return parts


def without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def redacted(text: str) -> str:
    """The text with the passwords of all addresses in it replaced by ***."""
    return re.sub(r"(?<=://)([^/@\s:]*):[^/@\s]+@", r"\1:***@", text)


def reason_of(error: BaseException) -> str:
    """The first line of what an error of MLflow's, Prefect's or a database's says, without passwords."""
    return redacted((str(error).strip() or type(error).__name__).splitlines()[0])


def default_tracking_uri() -> str:
    return sqlite_uri(own_database())


def artifact_root() -> str | None:
    """The folder of artifacts beside our own database; None where a server or another database decides."""
    return own_artifacts() if is_own(os.environ["MLFLOW_TRACKING_URI"]) else None


def check_servers(timeout: float = 5.0, mlflow_may_be_away: bool = False) -> None:
    """UserError, naming the address and what to start, where MLflow or Prefect does not answer.

    A training can wait for MLflow: where it `may_be_away`, that is a warning.
    """
    if prefect := os.environ.get("PREFECT_API_URL"):
        check_prefect(prefect, timeout)
    check_mlflow_address()
    try:
        reach_mlflow(timeout)
    except UserError as error:
        if not mlflow_may_be_away:
            raise
        print(f"warning: {error} The run goes on meanwhile, and MLflow is told once it answers.", file=sys.stderr)
        return
    check_answers_as_mlflow(timeout)


def check_mlflow_address() -> None:
    """UserError for an address that MLflow cannot use, and for a database file that it cannot."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    address = split("MLFLOW_TRACKING_URI", uri)
    if address.scheme.startswith("sqlite"):
        check_sqlite(uri)
    elif not address.hostname or address.scheme.partition("+")[0] not in ("http", "https", *DATABASE_PORTS):
        raise UserError(
            f"MLFLOW_TRACKING_URI ({redacted(uri)}) is no address that MLflow can use; give http://HOST:PORT of an "
            "`mlflow server`, sqlite:////ABSOLUTE/PATH, or unset it for a database under GENLIB_HOME."
        )


def reach_mlflow(timeout: float = 5.0) -> None:
    """UserError where MLflow's server, or the server of its database, does not answer."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    address = split("MLFLOW_TRACKING_URI", uri)
    kind = address.scheme.partition("+")[0]
    if kind in ("http", "https"):
        ask("MLFLOW_TRACKING_URI", uri, "start `mlflow server`", timeout)
    elif kind in DATABASE_PORTS:
        check_database(str(address.hostname), address.port or DATABASE_PORTS[kind], timeout)


def check_answers_as_mlflow(timeout: float = 5.0) -> None:
    """UserError where the server that answers is another one than MLflow's."""
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if not uri.startswith("http"):
        return
    question = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get?experiment_id=0"
    try:
        answer = ask("MLFLOW_TRACKING_URI", uri, "start `mlflow server`", timeout, question)
    except UserError:  # it has just gone away, and nobody knows whose server it was
        return
    if answer is not None and b'"experiment"' not in answer and b'"error_code"' not in answer:
        raise UserError(
            f"MLFLOW_TRACKING_URI ({redacted(uri)}) answers, and not as MLflow does; give the address of an "
            "`mlflow server`, http://HOST:PORT, or unset it to work locally."
        )


def check_prefect(address: str, timeout: float) -> None:
    """UserError where no server answers, and where it answers as something else than Prefect's API."""
    parts = split("PREFECT_API_URL", address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"PREFECT_API_URL ({redacted(address)}) is no http address; give http://HOST:PORT/api.")
    healthy = ask("PREFECT_API_URL", address, "start `prefect server start`", timeout)
    if healthy in (b"true", None) or "api" in parts.path.split("/"):
        return
    raise UserError(
        f"PREFECT_API_URL ({redacted(address)}) answers, and not as Prefect's API does, which is at "
        f"{redacted(address).rstrip('/')}/api where the server is Prefect's; set PREFECT_API_URL to that."
    )


def ask(variable: str, address: str, remedy: str, timeout: float, question: str | None = None) -> bytes | None:
    """The beginning of what a server answers to a question, by default for its health; None for a refusal.

    Any answer will do: what is asked is whether a server is there, so that only one that is not is a UserError.
    """
    try:
        question = question or f"{address.rstrip('/')}/health"
        with urllib.request.urlopen(question, timeout=timeout) as answer:  # noqa: S310 - http, as was checked
            return answer.read(ENOUGH)
    except urllib.error.HTTPError as error:
        return error.read(ENOUGH) if error.code == HTTPStatus.NOT_FOUND else None
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{variable} ({redacted(address)}) cannot be reached ({reason}); {remedy} there, or unset {variable} to "
            "work locally."
        ) from error


def check_database(host: str, port: int, timeout: float) -> None:
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI names a database at {host}:{port} that cannot be reached ({error}); start it, "
            "or unset MLFLOW_TRACKING_URI to work locally."
        ) from error
