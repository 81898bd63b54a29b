"""A PostgreSQL of our own: other port and folder than the system's, gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipelines.servers.local import HOST, free_port

SUPERUSER = "postgres"


def programs() -> Path | None:
    """The folder of the newest initdb of this machine; Debian keeps it off the PATH."""
    versions = Path("/usr/lib/postgresql")
    found = sorted(versions.glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgresql() -> Iterator[dict[str, str]]:
    """libpq's variables for its superuser, and a PATH with the clients of its version."""
    folder = programs()
    assert folder is not None
    base = Path(tempfile.mkdtemp(prefix="postgresql-"))  # not under pytest's folders, which root alone may enter
    data, secret, port, password = base / "data", base / "password", free_port(), secrets.token_hex(16)
    secret.write_text(password)
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # initdb refuses root
    if as_user:
        for path in (base, secret):
            shutil.chown(path, "postgres")

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, capture_output=True, text=True, cwd=base)

    options = f"-h {HOST} -p {port} -k {base} -c fsync=off"
    try:
        run(f"{folder}/initdb", f"--pgdata={data}", f"--username={SUPERUSER}", "--auth=scram-sha-256",
            f"--pwfile={secret}", "--no-sync")  # fmt: skip
        run(f"{folder}/pg_ctl", f"--pgdata={data}", f"--log={base}/log", f"--options={options}", "--wait", "start")
        try:
            yield {
                "PGHOST": HOST,
                "PGPORT": str(port),
                "PGUSER": SUPERUSER,
                "PGPASSWORD": password,
                "PATH": f"{folder}:{os.environ['PATH']}",
            }
        finally:
            run(f"{folder}/pg_ctl", f"--pgdata={data}", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def query(server: Mapping[str, str], statement: str, database: str = "postgres", **login: str) -> str:
    """What psql prints; CalledProcessError where the server refuses."""
    command = ["psql", "--no-psqlrc", "--no-align", "--tuples-only", "--dbname", database, "--command", statement]
    environment = dict(os.environ) | dict(server) | login
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
