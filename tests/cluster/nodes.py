"""Two nodes on one machine: network namespaces with an address each, and a cable between them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import PROJECT

# As a flow does it, which SIGTERM interrupts by an exception.
TRAIN = """
import signal, sys
from pathlib import Path
from genlib.config.load import load_config
from pipelines.launching import job
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
config, run_dir = load_config(sys.argv[1], sys.argv[3:]), Path(sys.argv[2])
ended = job.train(config, run_dir, {}, lambda line: print(line, flush=True))
sys.exit(ended.code)
"""


class Started(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Node(NamedTuple):
    namespace: str
    address: str
    folder: Path

    def start(self, command: list[str], name: str) -> Started:
        log = self.folder / f"{name}.log"
        environment = {"GLOO_SOCKET_IFNAME": "cable", "NCCL_SOCKET_IFNAME": "cable", "OMP_NUM_THREADS": "1"}
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *command],
                cwd=PROJECT,
                env=os.environ | environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        return Started(process, log)

    def train(self, name: str, config: Path, run: Path, *overrides: str) -> Started:
        """As the flow does it."""
        return self.start([sys.executable, "-c", TRAIN, str(config), str(run), *overrides], name)


def reason_without() -> str | None:
    """Why there can be no namespaces here."""
    try:
        with two_nodes():
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made here ({error}); root can, with iproute2"


@contextmanager
def two_nodes() -> Iterator[tuple[Node, Node]]:
    names = [f"genlib-{os.getpid()}-{end}" for end in "ab"]
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip(*("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns", names[1]))
        addresses = ["198.18.0.1", "198.18.0.2"]  # of the block that is kept for tests of networks
        for name, address in zip(names, addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        with tempfile.TemporaryDirectory() as folder:
            first, second = (Node(*both, Path(folder)) for both in zip(names, addresses, strict=True))
            yield first, second
    finally:
        for name in made:
            ip("netns", "delete", name)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def wait_until(happens: Callable[[], object], what: str, seconds: float = 120) -> None:
    patience = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < patience, what
        time.sleep(0.1)
