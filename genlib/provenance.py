"""Which code made something. Nothing here needs torch, or git to be there."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def git_state(folder: Path = PROJECT) -> dict[str, str]:
    """{"git.commit", "git.dirty"}; "unknown" for both where `folder` is in no git checkout, or has no commit."""
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    changes = git(folder, "status", "--porcelain")
    return {"git.commit": commit, "git.dirty": "unknown" if changes is None else str(bool(changes)).lower()}


def git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where it failed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
