"""What a run was made from and on: code, constraints, machine. Nothing here needs torch or git to be there."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from genlib.files import sha256_of_file

PROJECT = Path(__file__).resolve().parents[1]


def git_state(folder: Path = PROJECT) -> dict[str, str]:
    """{"git.commit", "git.dirty"}; "unknown" for both where `folder` is in no git checkout, or has no commit."""
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    changes = git(folder, "status", "--porcelain")
    return {"git.commit": commit, "git.dirty": "unknown" if changes is None else str(bool(changes)).lower()}


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


def git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where it failed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
