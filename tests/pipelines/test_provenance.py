from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from genlib.provenance import git_state
from pipelines.provenance import constraints_hash, processor_name


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_folder_outside_any_checkout_has_an_unknown_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"git.commit": "unknown", "git.dirty": "unknown"}


def test_a_checkout_without_a_commit_has_an_unknown_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert git_state(tmp_path)["git.commit"] == "unknown"


def test_the_commit_and_whether_the_checkout_differs_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "--message", "begin")
    assert git_state(tmp_path) == {"git.commit": git(tmp_path, "rev-parse", "HEAD"), "git.dirty": "false"}
    (tmp_path / "new").touch()
    assert git_state(tmp_path)["git.dirty"] == "true"


def test_the_constraints_are_hashed_where_they_are_there(tmp_path: Path) -> None:
    assert constraints_hash(tmp_path) == "unknown"
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "constraints.txt").write_text("torch==2.13.0\n")
    assert constraints_hash(tmp_path) == hashlib.sha256(b"torch==2.13.0\n").hexdigest()


def test_the_processor_has_a_name() -> None:
    assert processor_name()
