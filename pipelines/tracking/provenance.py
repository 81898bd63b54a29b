"""Provenance of a run beside its code: the constraints of the environment, and the machine."""

from __future__ import annotations

import platform
from pathlib import Path

from genlib.runtime.provenance import PROJECT
from genlib.storage.files import sha256_of_file


def constraints_hash(folder: Path = PROJECT) -> str:
    """SHA-256 of the constraints that the environment was made from; "unknown" where the file is absent."""
    constraints = folder / "infra" / "constraints.txt"
    return sha256_of_file(constraints) if constraints.exists() else "unknown"


def processor_name() -> str:
    """The CPU's model, as far as the machine tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
