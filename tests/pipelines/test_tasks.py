from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.runs.folder import RunFolder
from pipelines.flows import tasks
from pipelines.flows.tasks import Preempted, StageFailed
from pipelines.launching import job

Trainer = Callable[..., dict[str, Any]]


@pytest.fixture
def train(config: RunConfig, run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """The train task with a stand-in for the engine: what it writes, says, and exits with."""
    mirror: Any = SimpleNamespace(following=nullcontext)
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger("test"))

    def train(code: int, says: str = "", **result: Any) -> dict[str, Any]:
        writes = f"open({str(run_folder.result_file)!r}, 'w').write({json.dumps(result)!r})" if result else ""
        script = f"import sys\nprint({says!r})\n{writes}\nsys.exit({code})"
        monkeypatch.setattr(job, "train_command", lambda *_: [sys.executable, "-c", script])
        return tasks.train.fn(config, run_folder, mirror, {})

    return train


def test_a_finished_training_returns_its_result(train: Trainer) -> None:
    assert train(0, status="finished", step=5) == {"status": "finished", "step": 5}


@pytest.mark.parametrize(
    ("code", "result", "expected"),
    [
        (1, {"status": "diverged", "step": 7}, r"training diverged at step 7 \(exit code 1\)"),
        (1, {"status": "failed", "step": 3}, r"training failed at step 3 \(exit code 1\)"),
        (1, {}, r"training failed \(exit code 1\)"),
        (-9, {}, r"training failed \(exit code -9\)"),
    ],
)
def test_a_failed_training_says_so_with_its_last_lines(
    train: Trainer, code: int, result: dict[str, Any], expected: str
) -> None:
    with pytest.raises(StageFailed, match=expected) as error:
        if code < 0:
            train("__import__('os').kill(__import__('os').getpid(), 9)", says="the last word", **result)  # type: ignore
        else:
            train(code, says="the last word", **result)
    assert str(error.value).endswith("the last word")


def test_a_preempted_training_is_no_failure(train: Trainer) -> None:
    with pytest.raises(Preempted, match="told to stop at step 9"):
        train(143, status="preempted", step=9)


def test_bad_input_that_the_engine_finds_stays_bad_input(train: Trainer) -> None:
    with pytest.raises(UserError, match="^batch too large$"):
        train(2, says="error: batch too large")


def test_the_result_of_an_earlier_attempt_is_not_taken_for_this_one(train: Trainer, run_folder: RunFolder) -> None:
    run_folder.write_result(status="preempted", step=4)
    with pytest.raises(StageFailed, match="training failed"):
        train(1, says="ImportError")


def test_what_the_manifest_warns_of_is_in_the_flow_s_log_whenever_the_data_are_asked_for(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger("test"))
    for check in ("check_counts", "check_metric"):
        monkeypatch.setattr(tasks, check, lambda *_: None)
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "home"))
    source = tmp_path / "black"
    source.mkdir()
    for number in range(3):
        Image.new("L", (8, 8)).save(source / f"{number}.png")
    data = config.data.model_copy(update={"source": str(source), "test_split": None})
    for _ in range(2):
        caplog.clear()
        tasks.prepare.fn(config.model_copy(update={"data": data}))
        warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert warned == [f"all 2 train images of {source} are the same, of a single colour"]


def test_preparing_and_registering_are_tried_again_unless_the_input_is_bad() -> None:
    for stage in (tasks.prepare, tasks.register):
        assert stage.retries >= 2
        assert stage.retry_condition_fn is tasks.not_bad_input
    assert tasks.train.retries == tasks.evaluate.retries == 0
    task, run = tasks.prepare, None
    assert tasks.not_bad_input(task, run, SimpleNamespace(data=ConnectionError()))  # type: ignore[arg-type]
    assert not tasks.not_bad_input(task, run, SimpleNamespace(data=UserError()))  # type: ignore[arg-type]


def test_a_metric_that_the_data_cannot_give_is_refused_when_they_are_prepared(
    config: RunConfig, dataset: DatasetFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "prepare_data", lambda *_, **__: dataset)
    monkeypatch.setattr(tasks, "check_counts", lambda *_: None)  # they are few
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger("test"))
    with pytest.raises(UserError, match=r"registry.metric \(fd_classifier\) needs a classifier of two classes"):
        tasks.prepare.fn(config)


def test_a_training_that_dies_is_started_again_and_one_that_diverges_is_not(
    config: RunConfig, run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = run_folder.path / "attempts"
    script = f"""
import os, sys
with open({str(attempts)!r}, "a") as file:
    file.write("x")
if os.path.getsize({str(attempts)!r}) < 3:
    os.kill(os.getpid(), 9)
open({str(run_folder.result_file)!r}, "w").write('{{"status": "STATUS", "step": 3}}')
sys.exit(CODE)
"""
    mirror: Any = SimpleNamespace(following=nullcontext)
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger("test"))

    def engine(status: str, code: int) -> None:
        attempts.unlink(missing_ok=True)
        program = script.replace("STATUS", status).replace("CODE", str(code))
        monkeypatch.setattr(job, "train_command", lambda *_: [sys.executable, "-c", program])

    engine("finished", 0)
    assert tasks.train.fn(config, run_folder, mirror, {})["step"] == 3
    assert "restart 2 of 3" in caplog.text and "exit code -9" in caplog.text
    engine("diverged", 1)
    with pytest.raises(StageFailed, match="training diverged at step 3"):
        tasks.train.fn(config, run_folder, mirror, {})
    assert attempts.read_text() == "xxx"
