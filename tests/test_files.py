"""What stands in files that genlib wrote, and that something else has changed since."""

from __future__ import annotations

import pytest

from genlib.data.folder import MANIFEST, open_dataset
from genlib.errors import UserError
from genlib.runs.checkpoints import STATE
from genlib.runs.folder import RunFolder
from genlib.storage.files import Damaged, read_json, remove_folder, whole_folder
from genlib.storage.locks import owner_of
from genlib.training.state.checkpoint import damage_of


@pytest.mark.parametrize("depth", [100_000, 900])
def test_json_of_great_depth_is_damage(tmp_path, depth):
    deep = b"[" * depth + b"]" * depth + b"\n"
    run = RunFolder(tmp_path)
    for name in ("result.json", "evaluation.json", "metrics.jsonl", "owner.json", MANIFEST, STATE):
        (tmp_path / name).write_bytes(deep)
    if depth > 1000:
        with pytest.raises(Damaged, match=r"owner.json is damaged \(maximum recursion depth exceeded"):
            read_json(tmp_path / "owner.json")
    for read in (run.result, run.evaluation):
        with pytest.raises(UserError, match="is damaged"):
            read()
    with pytest.raises(UserError, match="is not whole"):
        open_dataset(tmp_path)
    assert run.metrics() == []
    assert damage_of(tmp_path).startswith(f"{STATE} is not that of a checkpoint")
    assert owner_of(tmp_path / "owner.json", "training") == "another process is at training there"


def listed(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_appears_whole_and_replaces_a_former_one(tmp_path):
    final = tmp_path / "kept"
    for name in ("first", "second"):
        with whole_folder(final) as partial:
            (partial / name).write_text(name)
            assert not (final / name).exists()
        assert listed(tmp_path) == {f"kept/{name}": name}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_former_folder_and_nothing_half_written(tmp_path, error):
    final = tmp_path / "kept"
    with pytest.raises(error), whole_folder(final) as partial:
        (partial / "half").write_text("")
        raise error
    assert list(tmp_path.iterdir()) == []
    with whole_folder(final) as partial:
        (partial / "file").write_text("first")
    with pytest.raises(error), whole_folder(final) as partial:
        (partial / "half").write_text("")
        raise error
    assert listed(tmp_path) == {"kept/file": "first"} and list(tmp_path.iterdir()) == [final]


def test_a_folder_that_cannot_take_its_name_leaves_the_former_one_in_place(tmp_path, monkeypatch):
    final = tmp_path / "kept"
    with whole_folder(final) as partial:
        (partial / "file").write_text("first")

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("genlib.storage.files.rename_into_place", fail)
    with pytest.raises(OSError, match="the disk is full"), whole_folder(final) as partial:
        (partial / "file").write_text("second")
    assert listed(tmp_path) == {"kept/file": "first"} and list(tmp_path.iterdir()) == [final]


def test_what_a_killed_process_left_is_no_part_of_the_next_folder(tmp_path):
    (tmp_path / ".kept.partial").mkdir()
    (tmp_path / ".kept.partial" / "half").write_text("")
    with whole_folder(tmp_path / "kept") as partial:
        (partial / "file").write_text("whole")
    assert listed(tmp_path) == {"kept/file": "whole"}


def test_a_folder_is_removed_with_what_an_earlier_removal_left(tmp_path):
    for name in ("kept", ".kept.removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    remove_folder(tmp_path / "kept")
    assert list(tmp_path.iterdir()) == []
