from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from genlib.runtime.provenance import driver_version, git_state, uncommitted
from pipelines.tracking.provenance import constraints_hash, processor_name


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_folder_outside_any_checkout_has_an_unknown_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"git.commit": "unknown", "git.dirty": "unknown"}


def test_a_checkout_without_a_commit_has_an_unknown_commit(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert git_state(tmp_path)["git.commit"] == "unknown"


def test_an_image_without_a_checkout_says_what_it_was_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLIB_COMMIT", "0123abc")
    assert git_state(tmp_path) == {"git.commit": "0123abc", "git.dirty": "false"}
    monkeypatch.setenv("GENLIB_COMMIT", "0123abc-dirty")
    assert git_state(tmp_path) == {"git.commit": "0123abc", "git.dirty": "true"}


def test_the_commit_and_whether_the_checkout_differs_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "--message", "begin")
    assert git_state(tmp_path) == {"git.commit": git(tmp_path, "rev-parse", "HEAD"), "git.dirty": "false"}
    (tmp_path / "new.py").touch()
    assert git_state(tmp_path)["git.dirty"] == "true"


@pytest.mark.parametrize(
    ("name", "is_code"),
    [
        ("run.log", False),
        ("runs/first/config.yaml", False),
        ("mine.yaml", False),
        ("shadow.py", True),
        ("notes/shadow/__init__.py", True),
        ("configs/mine.yaml", True),
        ("genlib/losses/table.json", True),
        ("infra/constraints.txt", True),
    ],
)
def test_an_untracked_file_counts_where_a_program_may_import_or_read_it(
    tmp_path: Path, name: str, is_code: bool
) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "--message", "begin")
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one")
    before = uncommitted(tmp_path)
    assert git_state(tmp_path)["git.dirty"] == str(is_code).lower()
    assert (name in before) == is_code
    file.write_text("two")
    assert (uncommitted(tmp_path) != before) == is_code


def test_what_a_checkout_has_beyond_its_commit_can_be_applied_to_it_and_untracked_files_are_named(
    tmp_path: Path,
) -> None:
    assert uncommitted(tmp_path) == ""
    git(tmp_path, "init")
    changed = tmp_path / "changed.py"
    changed.write_text("one\n\n")
    git(tmp_path, "add", "changed.py")
    git(tmp_path, "commit", "--message", "begin")
    assert uncommitted(tmp_path) == ""
    changed.write_text("two\n\n")
    (tmp_path / "new.py").touch()
    found = uncommitted(tmp_path)
    nothing = hashlib.sha256(b"").hexdigest()[:12]
    named = f"Untracked, and not in the diff: new.py (SHA-256 {nothing})\n"
    assert found.startswith(f"{named}diff --git a/changed.py b/changed.py\n")
    git(tmp_path, "checkout", "changed.py")
    (tmp_path / "patch").write_text(found)
    git(tmp_path, "apply", str(tmp_path / "patch"))
    assert changed.read_text() == "two\n\n"
    changed.write_text("x" * 1000)
    assert uncommitted(tmp_path, most=500).endswith("and 500 are kept at most.\n")


def test_the_driver_is_that_of_the_kernels_module(tmp_path: Path) -> None:
    assert driver_version(tmp_path / "absent") == "none"
    file = tmp_path / "version"
    for line in (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (dvs-builder@U16)",
    ):
        file.write_text(f"{line}\nGCC version:  gcc version 12.2.0\n")
        assert driver_version(file) == "535.104.05"


def test_the_constraints_are_hashed_where_they_are_there(tmp_path: Path) -> None:
    assert constraints_hash(tmp_path) == "unknown"
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "constraints.txt").write_text("torch==2.13.0\n")
    assert constraints_hash(tmp_path) == hashlib.sha256(b"torch==2.13.0\n").hexdigest()


def test_the_processor_has_a_name() -> None:
    assert processor_name()
