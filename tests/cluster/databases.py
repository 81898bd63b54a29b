"""Where the servers keep what they know: files of SQLite, or a PostgreSQL server of our own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genlib.errors import UserError
from tests.postgresql import postgresql, programs

NAMES = ("prefect", "mlflow")

Addresses = dict[str, str]  # SQLAlchemy's, by name


@contextmanager
def on_sqlite(home: Path) -> Iterator[Addresses]:
    yield {name: f"sqlite:///{home}/{name}.db" for name in NAMES}


@contextmanager
def on_postgresql(home: Path) -> Iterator[Addresses]:
    if programs() is None:
        raise UserError("PostgreSQL is not there; install it (apt-get install postgresql), or ask for sqlite.")
    with postgresql() as server:
        for name in NAMES:
            subprocess.run(["createdb", name], check=True, env=os.environ | server)
        login = f"{server['PGUSER']}:{server['PGPASSWORD']}@{server['PGHOST']}:{server['PGPORT']}"
        yield {name: f"postgresql+psycopg://{login}/{name}" for name in NAMES}


DATABASES = {"sqlite": on_sqlite, "postgresql": on_postgresql}
