"""Where the servers keep what they know: files of SQLite, or a PostgreSQL server of our own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genlib.errors import UserError
from pipelines.servers import HOST, Server, free_port

NAMES = ("prefect", "mlflow")
USER = "genlib"

Addresses = dict[str, str]  # SQLAlchemy's, by name


@contextmanager
def sqlite(home: Path) -> Iterator[Addresses]:
    yield {name: f"sqlite:///{home}/{name}.db" for name in NAMES}


@contextmanager
def postgresql(home: Path) -> Iterator[Addresses]:
    """On a port, in a folder and with a password of its own; Debian's binaries are not on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    binaries = folders[-1] if folders else Path(shutil.which("postgres") or "").parent
    if not (binaries / "initdb").exists():
        raise UserError("PostgreSQL is not there; install it (apt-get install postgresql), or ask for sqlite.")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    with tempfile.TemporaryDirectory() as name:
        folder, port, password = Path(name), free_port(), secrets.token_hex(16)
        password_file = folder / "password"
        password_file.write_text(password)
        if as_user:
            for path in (folder, password_file):
                shutil.chown(path, "postgres", "postgres")
        initdb = [f"{binaries}/initdb", "--username", USER, f"--pwfile={password_file}", "--auth=scram-sha-256"]
        subprocess.run([*as_user, *initdb, str(folder / "data")], check=True, capture_output=True, cwd=folder)
        server = [f"{binaries}/postgres", "-D", str(folder / "data"), "-k", str(folder), "-h", HOST, "-p", str(port)]
        with Server.started("PostgreSQL", port, [*as_user, *server]) as running:
            running.wait_until_up()
            for database in NAMES:
                create = [f"{binaries}/createdb", "--host", HOST, "--port", str(port), "--username", USER, database]
                subprocess.run(create, check=True, env=os.environ | {"PGPASSWORD": password})
            yield {name: f"postgresql+psycopg://{USER}:{password}@{HOST}:{port}/{name}" for name in NAMES}


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}
