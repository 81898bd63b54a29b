"""A run folder that somebody removes, renames or replaces while the run trains, and a result that cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import signal

import pytest

from genlib.cli import main
from genlib.runs.checkpoints import finished_checkpoints
from genlib.runs.folder import RunFolder
from genlib.training import trainer
from genlib.training.exporter import Exporter
from tests.conftest import CONFIGS

POINTS = ["data.points=40", "method.network.hidden_sizes=[4]", "method.latent_size=2", "evaluation.every=null"]
SHORT = ["training.steps=8", "training.batch_size=16", "training.device=cpu", "training.log_every=2"]
OFTEN = ["training.checkpoint_every=4", "training.sample_every=4"]


@pytest.fixture
def run(genlib_home, tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def trained(run, monkeypatch, capsys):
    """Train over points while `befall` happens before step 5; exit code and standard error."""

    def train(befall=lambda: None, path=run.path):
        step = trainer.Trainer.take_step

        def disturbed(self, number):
            if number == 5:
                self.writer.wait()
                befall()
            step(self, number)

        sets = [word for setting in (*POINTS, *SHORT, *OFTEN) for word in ("--set", setting)]
        with monkeypatch.context() as patch:
            patch.setattr(trainer.Trainer, "take_step", disturbed)
            code = main(["train", str(CONFIGS / "vae_pinwheel.yaml"), *sets, "--run-dir", str(path)])
        return code, capsys.readouterr().err

    return train


def test_a_run_folder_that_is_removed_is_an_error_and_is_not_made_again(run, trained):
    code, error = trained(lambda: shutil.rmtree(run.path))
    assert code == 2 and error.count("\n") == 1
    assert error.startswith(f"error: run folder {run.path} was removed, renamed or replaced while the run trained")
    assert not run.path.exists()


def test_a_run_folder_that_is_renamed_is_gone_on_with_under_its_new_name(run, trained):
    renamed = run.path.with_name("renamed")
    code, error = trained(lambda: run.path.rename(renamed))
    assert code == 2 and "if it was renamed, go on with --run-dir and its new name" in error
    assert not run.path.exists()
    assert trained(path=renamed) == (0, "")
    assert RunFolder(renamed).result()["status"] == "finished"


def test_a_folder_that_takes_its_place_is_left_as_it_is(run, trained):
    def replace():
        run.path.rename(run.path.with_name("former"))
        run.path.mkdir()
        run.config_file.write_text("another's")

    code, error = trained(replace)
    assert code == 2 and error.count("\n") == 1
    assert list(run.path.iterdir()) == [run.config_file]


def test_folders_in_it_that_are_removed_are_made_again(run, trained):
    def remove():
        shutil.rmtree(run.checkpoints)
        shutil.rmtree(run.samples)

    assert trained(remove) == (0, "")
    assert [path.name for path in finished_checkpoints(run.checkpoints)] == ["step-00000008"]
    assert [path.name for path in run.samples.iterdir()] == ["step-00000008.png"]


def test_a_result_that_cannot_be_written_is_a_failure_that_the_same_command_mends(run, trained, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_result", full)
        code, error = trained()
    assert code == 1 and error.count("\n") == 1
    assert f"failed: {run.result_file} could not be written (No space left on device); the same command" in error
    assert trained() == (0, "") and run.result()["status"] == "finished"


def test_a_signal_while_the_sampler_is_exported_comes_too_late(run, trained, monkeypatch):
    export = Exporter.export

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        export(*arguments)

    monkeypatch.setattr(Exporter, "export", interrupted)
    assert trained() == (0, "")
    assert run.result()["status"] == "finished" and run.sampler.exists()


def test_ctrl_c_twice_ends_at_once_in_one_line_and_the_run_can_be_gone_on_with(run, trained):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    try:
        assert trained(twice) == (130, "interrupted.\n")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert run.result()["status"] == "preempted"
    assert trained() == (0, "") and run.result()["status"] == "finished"
