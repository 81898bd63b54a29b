"""Which run folder a flow run goes on with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from genlib.runtime.provenance import git_state
from genlib.storage.home import runs_folder
from genlib.storage.locks import held
from pipelines.flows.folders import run_folder
from pipelines.flows.sync import PIPELINE
from pipelines.tracking.ledger import Status, begin_ledger

Left = Callable[..., Path]
said: list[str] = []


@pytest.fixture
def left(genlib_home: Path, config: RunConfig, dataset: DatasetFolder) -> Left:
    """Leave a run's folder in some state, seconds ago."""

    def leave(name: str, status: Status, ago: float = 0, config: RunConfig = config) -> Path:
        folder = RunFolder(runs_folder() / f"{config.registry.model}-{name}")
        folder.make()
        ledger = begin_ledger(folder, dataset, config, {})
        ledger.status = status
        ledger.write(folder)
        time = folder.path.stat().st_mtime - ago
        os.utime(folder.path, (time, time))
        return folder.path

    return leave


def chosen(config: RunConfig, dataset: DatasetFolder, given: Path | None = None, resume: bool = True) -> str:
    own = runs_folder() / f"{config.registry.model}-own"
    was_there = own.exists()
    with run_folder(given and str(given), own, config, dataset, resume, said.append) as folder:
        name = folder.path.name.removeprefix(f"{config.registry.model}-")
    if not was_there and own.exists():
        shutil.rmtree(own)
    return name


def test_the_newest_run_that_was_cut_off_is_gone_on_with(left: Left, config: RunConfig, dataset: DatasetFolder) -> None:
    left("older", "KILLED", ago=20)
    left("newer", "RUNNING", ago=10)
    left("finished", "FINISHED")
    left("failed", "FAILED")
    assert chosen(config, dataset) == "newer"
    assert "newer, which was cut off" in said[-1]
    assert chosen(config, dataset, resume=False) == "own"


def test_one_that_another_flow_works_in_is_left_to_it(left: Left, config: RunConfig, dataset: DatasetFolder) -> None:
    left("older", "KILLED", ago=20)
    with held(left("newer", "RUNNING", ago=10), PIPELINE):
        assert chosen(config, dataset) == "older"


def test_another_configuration_dataset_or_code_begins_anew(
    left: Left, config: RunConfig, dataset: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = left("before", "KILLED")
    longer = config.model_copy(update={"training": config.training.model_copy(update={"steps": 9})})
    assert chosen(longer, dataset) == "own"
    other = DatasetFolder(dataset.path, replace(dataset.manifest, content_hash="cd" * 32))
    said.clear()
    assert chosen(config, other) == "own"
    assert said == [
        f"beginning anew: {before} was cut off, and is not gone on with, since the data have changed (content hash "
        "abababababab then, cdcdcdcdcdcd now); restore them to go on with it."
    ]
    assert chosen(config, dataset) == "before"
    for name, value, reason in (
        ("uncommitted", "a change", "the code's uncommitted changes were others ("),
        ("git_state", git_state() | {"git.commit": "c0ffee"}, "its code was another (commit: "),
    ):
        monkeypatch.setattr(f"pipelines.flows.folders.{name}", lambda value=value: value)
        assert chosen(config, dataset) == "own"
        assert reason in said[-1]
        assert "name its folder (--run-dir, or run_dir of a deployment) to go on with it all the same" in said[-1]


@pytest.mark.parametrize(("commit", "dirty"), [("unknown", "unknown"), ("c0ffee", "true")])
def test_an_image_of_unknown_code_begins_anew(
    left: Left, config: RunConfig, dataset: DatasetFolder, monkeypatch: pytest.MonkeyPatch, commit: str, dirty: str
) -> None:
    code = {"git.commit": commit, "git.dirty": dirty}
    said.clear()
    for module in ("pipelines.flows.folders", "pipelines.tracking.ledger"):
        monkeypatch.setattr(f"{module}.git_state", lambda: code)
        monkeypatch.setattr(f"{module}.uncommitted", lambda: "")
    left("before", "KILLED")
    assert chosen(config, dataset) == "own"
    assert "nobody can tell whether its code was the code of today, which is in no git checkout" in said[-1]


def test_a_run_that_ended_while_it_was_waited_for_is_not_gone_on_with(
    left: Left, config: RunConfig, dataset: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left("before", "RUNNING")

    @contextmanager
    def ends_meanwhile(path: Path, work: str) -> Iterator[None]:
        left("before", "FINISHED")
        yield

    monkeypatch.setattr("pipelines.flows.folders.held", ends_meanwhile)
    assert chosen(config, dataset) == "own"
    assert folder.exists()


def test_a_run_that_learned_from_other_rows_of_the_train_split_is_left_alone(
    left: Left, config: RunConfig, dataset: DatasetFolder
) -> None:
    """A metric of held-out images that chooses the best checkpoint has validation images of its own."""
    evaluation = config.evaluation.model_copy(update={"every": 5})
    registry = config.registry.model_copy(update={"metric": "elbo"})
    chooses = config.model_copy(update={"evaluation": evaluation, "registry": registry})
    assert chooses.held_back == 0.1 and config.held_back == 0
    RunFolder(left("before", "KILLED")).start(config, {"folder": "digits", "content_hash": "abab"})
    assert chosen(config, dataset) == "before"
    assert chosen(chooses, dataset) == "own"
    RunFolder(left("chooses", "KILLED", config=chooses)).start(chooses, {"folder": "digits", "content_hash": "abab"})
    assert chosen(chooses, dataset) == "chooses"
    assert chosen(config, dataset) == "before"


def test_a_key_that_changes_no_model_may_differ(left: Left, config: RunConfig, dataset: DatasetFolder) -> None:
    left("before", "KILLED")
    chattier = config.model_copy(update={"training": config.training.model_copy(update={"log_every": 1})})
    assert chosen(chattier, dataset) == "before"


def test_the_folder_of_the_same_flow_run_comes_first(left: Left, config: RunConfig, dataset: DatasetFolder) -> None:
    left("own", "KILLED", ago=20)
    left("newer", "KILLED")
    assert chosen(config, dataset) == "own"


def test_a_folder_that_is_given_is_taken_or_refused(left: Left, config: RunConfig, dataset: DatasetFolder) -> None:
    given = left("given", "FINISHED")
    assert chosen(config, dataset, given) == "given"
    with held(given, PIPELINE), pytest.raises(UserError, match="given"):
        chosen(config, dataset, given)
