"""Which code and which machine made something. Nothing here needs torch, or git to be there."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DRIVER = Path("/proc/driver/nvidia/version")
DIRTY = "-dirty"  # git describe's mark
MOST_CHANGES, MOST_NAMES = 1_000_000, 200  # characters of a diff, and untracked files, that are worth keeping


def git_state(folder: Path = PROJECT) -> dict[str, str]:
    """{"git.commit", "git.dirty"}; "unknown" for both where `folder` is in no git checkout, or has no commit.

    An image has no checkout: there GENLIB_COMMIT says what `git describe` said of the one that it was built from.
    """
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        built_from = os.environ.get("GENLIB_COMMIT") or "unknown"
        dirty = "unknown" if built_from == "unknown" else str(built_from.endswith(DIRTY)).lower()
        return {"git.commit": built_from.removesuffix(DIRTY), "git.dirty": dirty}
    changes = git(folder, "status", "--porcelain")
    return {"git.commit": commit.strip(), "git.dirty": "unknown" if changes is None else str(bool(changes)).lower()}


def uncommitted(folder: Path = PROJECT, most: int = MOST_CHANGES) -> str:
    """What a checkout has beyond its commit, as `git apply` takes it: untracked files by name, then the diff.

    A diff of more than `most` characters is left out, and that said. "" where there is nothing, or no commit.
    """
    diff = git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--binary") or ""
    untracked = (git(folder, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    lines = [f"Untracked, and not in the diff: {name}" for name in untracked[:MOST_NAMES]]
    if len(untracked) > MOST_NAMES:
        lines.append(f"Untracked too: {len(untracked) - MOST_NAMES:,} more")
    if len(diff) > most:
        lines.append(f"The diff is left out: it has {len(diff):,} characters, and {most:,} are kept at most.")
        diff = ""
    return "".join(f"{line}\n" for line in lines) + diff


def git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where it failed."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def driver_version(file: Path = DRIVER) -> str:
    """Of NVIDIA's kernel module; "none" where there is none."""
    with suppress(OSError):
        if found := re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", file.read_text()):
            return found[1]
    return "none"
