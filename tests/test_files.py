"""What stands in files that genlib wrote, and that something else has changed since."""

from __future__ import annotations

import pytest

from genlib.data.folder import MANIFEST, open_dataset
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.storage.files import Damaged, read_json
from genlib.storage.locks import owner_of
from genlib.training.state.checkpoint import STATE, damage_of


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
    assert damage_of(tmp_path).startswith(f"{STATE} is not what a checkpoint has")
    assert owner_of(tmp_path / "owner.json", "training") == "another process is at training there"
