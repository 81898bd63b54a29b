"""MLflow's database where it is a SQLite file: its address, whether it can be used, and its paths after a move."""

from __future__ import annotations

import os
import shlex
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from genlib.errors import UserError
from genlib.storage.home import home

ARTIFACTS = "mlartifacts"  # beside our own database
LOCATIONS = {  # columns that hold addresses of artifacts
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
TAGS = ("tags", "model_version_tags")  # tables in which `run_folder` is a path
TABLES = {  # that the pipeline reads or writes
    *("experiments", "runs", "metrics", "latest_metrics", "params", "tags", "datasets", "inputs", "input_tags"),
    *("logged_models", "registered_models", "registered_model_tags", "registered_model_aliases"),
    *("model_versions", "model_version_tags"),
}
BUSY = 60.0  # seconds to wait for another process's write; and those that MLflow may take to make its tables


def sqlite_uri(file: Path, driver: str = "sqlite") -> str:
    """SQLAlchemy's address of a SQLite file (an absolute path).

    SQLAlchemy takes a path as it is, up to the first '?'. Paths that it or its users would read otherwise are given as
    SQLite's own URI, whose path is percent-encoded (https://www.sqlite.org/uri.html).
    """
    path = str(file)
    return f"{driver}:///file:{quote(path)}?uri=true" if set("?#%") & set(path) else f"{driver}:///{path}"


def database_file(uri: str) -> Path:
    """The file of an address of SQLAlchemy's, such as those of `sqlite_uri`."""
    path, _, query = uri.partition("://")[2].removeprefix("/").partition("?")
    if path.startswith("file:") and "uri=true" in query:
        path = unquote(path.removeprefix("file:"))
    return Path(path)


def own_database() -> Path:
    """The default path of MLflow's database."""
    return home() / "mlflow.db"


def own_artifacts() -> str:
    """The URI of the folder of artifacts beside our own database."""
    return (home() / ARTIFACTS).as_uri()


def is_own(uri: str) -> bool:
    return uri == sqlite_uri(own_database())


def check_sqlite(uri: str) -> None:
    """UserError where MLflow could not use the database, or would look for its artifacts in another folder."""
    file = database_file(uri)
    if not file.parent.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI ({uri}): its folder {file.parent} does not exist; make it first.")
    if is_own(uri):
        check_path(home())
    if file.is_dir():
        raise UserError(f"MLFLOW_TRACKING_URI ({uri}) names no file; give sqlite:////ABSOLUTE/PATH/mlflow.db.")
    if not file.exists():
        return
    check_database(file)
    if is_own(uri) and (former := former_artifacts(file)):
        raise UserError(
            f"GENLIB_HOME ({home()}) was moved or copied here, and MLflow's database still has its artifacts in "
            f"{' and '.join(map(path_of, former))}; write its paths anew: GENLIB_HOME={shlex.quote(str(home()))} "
            "genlib relocate"
        )


def check_path(folder: Path) -> None:
    """UserError for a home whose path MLflow itself reads wrongly: it decodes paths of files as if they were URIs."""
    if unquote(str(folder)) != str(folder):
        raise UserError(
            f"GENLIB_HOME ({folder}) holds a percent sign with two hexadecimal digits, which MLflow reads as "
            f"another character ({unquote(str(folder))}); rename the folder, or set GENLIB_HOME to another."
        )


def check_database(file: Path) -> None:
    """UserError for a file that is no database of MLflow's, or no whole one."""
    remedy = "restore it from a backup, or move it away to begin anew"
    try:
        if not file.stat().st_size:
            if any((file.parent / ARTIFACTS).glob("*")):
                raise UserError(f"MLflow's database {file} is empty, and its models and runs are gone; {remedy}.")
            return
        with opened(file, "ro") as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in TABLES & tables:
                database.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608 - our own names
        missing = sorted(TABLES - tables)
        if missing and time.time() - file.stat().st_mtime > BUSY:  # else MLflow may be making them
            raise UserError(
                f"MLflow's database {file} lacks {', '.join(missing)}: it is damaged, or of an older MLflow; {remedy}, "
                f"or bring it up to date: mlflow db upgrade {shlex.quote(sqlite_uri(file))}"
            )
    except (sqlite3.Error, OSError) as error:
        if "locked" not in str(error):
            raise UserError(f"MLflow's database {file} cannot be read ({error}); {remedy}.") from error


@contextmanager
def opened(file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=BUSY)) as database:
        yield database


def former_artifacts(file: Path) -> list[str]:
    """URIs of the folders, other than our own, in which the pipeline's experiments have their artifacts."""
    try:
        with opened(file, "ro") as database:
            return former_roots(database)
    except sqlite3.Error:  # its tables are being made, or another process writes to it
        return []


def former_roots(database: sqlite3.Connection) -> list[str]:
    ours = home() / ARTIFACTS
    locations = [location for (location,) in database.execute("SELECT artifact_location FROM experiments")]
    roots = {location.rpartition("/")[0] for location in locations if location and location.startswith("file:")}
    return sorted(root for root in roots if root.endswith(f"/{ARTIFACTS}") and not is_same(Path(path_of(root)), ours))


def is_same(folder: Path, other: Path) -> bool:
    """Whether both paths lead to one folder, through links too."""
    return folder == other or (folder.exists() and other.exists() and os.path.samefile(folder, other))


def path_of(uri: str) -> str:
    return unquote(urlsplit(uri).path)


def relocate() -> str:
    """Write the paths in our own database anew after GENLIB_HOME was moved or copied; says what was done.

    In one transaction, after a backup beside the database. Calling again changes nothing.
    """
    file = own_database()
    check_path(home())
    if not file.exists():
        raise UserError(f"there is no MLflow database in GENLIB_HOME ({home()}); set GENLIB_HOME to the moved folder.")
    check_database(file)
    with opened(file, "rw") as database:
        database.isolation_level = None  # transactions are begun and ended here
        database.execute("BEGIN IMMEDIATE")
        former = former_roots(database)
        if not former:
            database.execute("ROLLBACK")
            return f"MLflow's database has its artifacts in {home() / ARTIFACTS}; nothing was changed."
        backup = backed_up(file)
        changed = sum(rewritten(database, root) for root in former)
        missing = absent(database)
        database.execute("COMMIT")
    lines = [f"{changed} paths of MLflow's database are in {home()} now; the database as it was is {backup}"]
    if missing:
        lines.append(f"warning: {len(missing)} folders of artifacts are not there, such as {missing[0]}")
    return "\n".join(lines)


def backed_up(file: Path) -> Path:
    backup = file.with_name(f"{file.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}.backup")
    with opened(file, "ro") as database, closing(sqlite3.connect(backup)) as copy:
        database.backup(copy)
    return backup


def rewritten(database: sqlite3.Connection, root: str) -> int:
    """Put our own folders in the place of those of another home, `root` being the URI of its artifacts."""

    def replace(table: str, column: str, old: str, new: str, where: str = "TRUE") -> int:
        change = (
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
            f"WHERE substr({column}, 1, ?) = ? AND {where}"
        )
        return database.execute(change, (new, len(old) + 1, len(old), old)).rowcount

    runs = f"{Path(path_of(root)).parent / 'runs'}/"
    pairs = [(table, column) for table, columns in LOCATIONS.items() for column in columns]
    changed = sum(replace(*pair, f"{root}/", f"{own_artifacts()}/") for pair in pairs)
    return changed + sum(replace(table, "value", runs, f"{home() / 'runs'}/", "key = 'run_folder'") for table in TAGS)


def absent(database: sqlite3.Connection) -> list[str]:
    """Folders of registered models' artifacts that the database has here, and that are not."""
    found = database.execute("SELECT storage_location FROM model_versions WHERE storage_location LIKE 'file:%'")
    return sorted({path for (uri,) in found if not Path(path := path_of(uri)).is_dir()})
