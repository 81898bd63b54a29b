"""PostgreSQL with compose.yaml's databases, and compose.yaml's servers on it as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.servers.local import HOST, end_session, free_port
from tests.infra.compose import INFRA, services, settings
from tests.postgresql import postgresql, programs

BINARIES = Path(sys.executable).parent
PORTS = {"prefect": "4200", "mlflow": "5000", "postgres": "5432", "worker": "8080"}  # in the networks of compose.yaml
PATIENCE = 180.0  # seconds for a server that makes its tables first


class Stack:
    """compose.yaml's services by this machine's ports, in the place of the host names of its networks."""

    def __init__(self, database: Mapping[str, str], folder: Path) -> None:
        self.settings = settings()
        self.services: dict[str, Any] = services(self.settings)
        self.database, self.folder = dict(database), folder
        self.ports = {name: free_port() for name in PORTS} | {"postgres": database["PGPORT"]}

    def here(self, text: str) -> str:
        """With the addresses of this machine, and the folder of artifacts in the place of the S3 store."""
        for name, port in PORTS.items():
            for host in (name, "localhost"):
                text = text.replace(f"{host}:{port}", f"{HOST}:{self.ports[name]}")
        return text.replace("s3://mlflow", str(self.folder / "artifacts"))

    def environment(self, name: str) -> dict[str, str]:
        outside = {
            key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "AWS_"))
        }
        given = {key: self.here(str(value)) for key, value in self.services[name]["environment"].items()}
        for key in ("PREFECT_HOME", "PREFECT_SERVER_UI_STATIC_DIRECTORY"):
            if key in given:
                given[key] = str(self.folder / f"{name}-{key.lower()}")
        own = {"PATH": f"{BINARIES}:{outside['PATH']}", "PREFECT_WORKER_WEBSERVER_PORT": str(self.ports["worker"])}
        return outside | own | given

    def command(self, name: str) -> list[str]:
        """Exactly the service's, but for address and port."""
        words = [word.replace("0.0.0.0", HOST) for word in self.services[name]["command"]]
        return [self.here(word.replace(PORTS[name], str(self.ports[name]))) for word in words]

    def health(self, name: str) -> list[str]:
        """The service's own question whether it is healthy."""
        return [self.here(word) for word in self.services[name]["healthcheck"]["test"][1:]]

    @contextmanager
    def running(self, name: str) -> Iterator[str]:
        """The server, once it says that it is healthy; its address."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(name),
                env=self.environment(name),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + PATIENCE
            while subprocess.run(self.health(name), env=self.environment(name), capture_output=True).returncode:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
                time.sleep(0.5)
            yield f"http://{HOST}:{self.ports[name]}"
        finally:
            end_session(process)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Databases made by databases.sh; no server runs yet."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgresql() as database:
        stack = Stack(database, tmp_path_factory.mktemp("stack"))
        given = dict(os.environ) | database | {"POSTGRES_USER": database["PGUSER"]} | stack.settings
        script = ["bash", str(INFRA / "configuration" / "databases.sh")]
        subprocess.run(script, env=given | database, check=True, capture_output=True, text=True)
        yield stack


def status(address: str, **headers: str) -> int:
    """What a server answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
