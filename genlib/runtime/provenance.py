"""The code and the machine that made something. Nothing here needs torch, or git to be there."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from genlib.storage.files import sha256_of_file

PROJECT = Path(__file__).resolve().parents[2]
DRIVER = Path("/proc/driver/nvidia/version")
CODE = ("genlib/", "pipelines/", "configs/", "infra/")  # folders whose files are imported or read
MODULES = (".py", ".pyc", ".so", ".pyd", ".pth")
DIRTY = "-dirty"  # git describe's mark
MOST_CHANGES, MOST_NAMES = 1_000_000, 200  # characters of a diff, and untracked files, that are worth keeping


def git_state(folder: Path = PROJECT) -> dict[str, str]:
    """{"git.commit", "git.dirty"}; "unknown" for both where `folder` is in no git checkout, or has no commit.

    An image has no checkout: there GENLIB_COMMIT says what `git describe` said of the one that it was built from.
    """
    commit = commit_of(folder)
    if commit is None:
        built_from = os.environ.get("GENLIB_COMMIT") or "unknown"
        dirty = "unknown" if built_from == "unknown" else str(built_from.endswith(DIRTY)).lower()
        return {"git.commit": built_from.removesuffix(DIRTY), "git.dirty": dirty}
    changes, new = git(folder, "status", "--porcelain", "--untracked-files=no"), untracked_code(folder)
    dirty = "unknown" if changes is None or new is None else str(bool(changes or new)).lower()
    return {"git.commit": commit, "git.dirty": dirty}


def commit_of(folder: Path) -> str | None:
    """The commit of the checkout that `folder` belongs to; None where it is in none, as an installed package.

    An environment of installed packages may lie inside somebody's checkout, which then tracks nothing of it.
    """
    commit, prefix = git(folder, "rev-parse", "--verify", "HEAD"), git(folder, "rev-parse", "--show-prefix")
    if commit is None or prefix is None or (prefix.strip() and not git(folder, "ls-files")):
        return None
    return commit.strip()


def untracked_code(folder: Path = PROJECT) -> list[str] | None:
    """The files that git neither tracks nor ignores and that a program may import or read: modules anywhere, and all
    that lies in CODE. A log, a run folder or a picture makes nobody's code another one. None where git fails.
    """
    found = git(folder, "ls-files", "--others", "--exclude-standard", "-z")
    if found is None:
        return None
    names = [name for name in found.split("\0") if name]
    return [name for name in names if name.startswith(CODE) or name.endswith(MODULES)]


def uncommitted(folder: Path = PROJECT, most: int = MOST_CHANGES) -> str:
    """The changes of a checkout since its commit: untracked code by name and hash, then a diff for `git apply`.

    A diff of more than `most` characters is left out, and that said. "" where there is nothing, or no commit.
    """
    if commit_of(folder) is None:
        return ""
    diff = git(folder, "diff", "HEAD", "--no-ext-diff", "--no-color", "--binary") or ""
    untracked = untracked_code(folder) or []
    lines = [f"Untracked, and not in the diff: {name} ({digest(folder / name)})" for name in untracked[:MOST_NAMES]]
    if len(untracked) > MOST_NAMES:
        lines.append(f"Untracked too: {len(untracked) - MOST_NAMES:,} more")
    if len(diff) > most:
        lines.append(f"The diff is left out: it has {len(diff):,} characters, and {most:,} are kept at most.")
        diff = ""
    return "".join(f"{line}\n" for line in lines) + diff


def digest(file: Path) -> str:
    """The start of a file's SHA-256, or the reason why it cannot be read."""
    try:
        return f"SHA-256 {sha256_of_file(file)[:12]}"
    except OSError as error:
        return str(error.strerror)


def git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None where it failed."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def driver_version(file: Path = DRIVER) -> str:
    """The version of NVIDIA's kernel module; "none" where there is none."""
    with suppress(OSError):
        if found := re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", file.read_text()):
            return found[1]
    return "none"
