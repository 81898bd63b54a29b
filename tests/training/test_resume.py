"""Signals, and run folders that are gone on with. What else may happen to a run: test_faults.py."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.runs.checkpoints import finished_checkpoints, step_of
from genlib.runs.folder import RunFolder
from tests.conftest import PROJECT

STOPS = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138), (signal.SIGHUP, 129)]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), STOPS)
def test_a_signal_saves_a_checkpoint_and_the_run_goes_on_from_it(number, code, tiny, command, tmp_path):
    arguments = ["train", *tiny("vae", "training.steps=300", "training.log_every=5")]
    process = subprocess.Popen(
        [sys.executable, "-m", "genlib", *map(str, arguments), "--set", "training.steps=1000000"]
        + ["--run-dir", str(tmp_path / "run")],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("step 100/"):
            break
    process.send_signal(number)
    process.stdout.read()
    assert process.wait() == code
    result = RunFolder(tmp_path / "run").result()
    assert result["status"] == "preempted"
    checkpoint = finished_checkpoints(RunFolder(tmp_path / "run").checkpoints)[-1]
    assert step_of(checkpoint) == result["step"] >= 5
    assert not RunFolder(tmp_path / "run").sampler.exists()


def test_under_nohup_a_training_goes_on_when_its_terminal_is_closed_though_nobody_reads_its_output(
    tiny, genlib_home, tmp_path
):
    arguments = [
        "train",
        *tiny("vae", "training.steps=300", "training.log_every=5"),
        "--run-dir",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "genlib", *map(str, arguments)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("step 5/"):
            break
    process.send_signal(signal.SIGHUP)
    process.stdout.close()
    assert process.wait() == 0
    result = RunFolder(tmp_path / "run").result()
    assert result["status"] == "finished" and result["unwritten_lines"] >= 1


def test_a_run_folder_of_another_configuration_is_refused_with_the_keys_that_differ(tiny, command, tmp_path):
    assert command("genlib", "train", *tiny("vae"), "--run-dir", tmp_path).returncode == 0
    other = command("genlib", "train", *tiny("vae", "training.seed=7", "method.sigma=0.5"), "--run-dir", tmp_path)
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "method.sigma (0.1 there, 0.5 asked)" in other.stderr and "training.seed (0 there, 7 asked)" in other.stderr


def test_a_run_folder_of_another_condition_is_refused(tmp_path):
    run, file = RunFolder(tmp_path / "run"), PROJECT / "configs/inpainting_vae_digits.yaml"
    run.make()
    run.start(load_config(file), {"content_hash": "0"})
    with pytest.raises(UserError, match=r"condition.kind \('box' there, 'half' asked\)"):
        run.start(load_config(file, ["condition.kind=half"]), {"content_hash": "0"})


def test_what_does_not_change_the_model_may_change_on_going_on(tiny, command, tmp_path):
    (tmp_path / "samples").mkdir()  # what a run that was killed at its very beginning leaves
    assert command("genlib", "train", *tiny("vae"), "--run-dir", tmp_path).returncode == 0
    same = command("genlib", "train", *tiny("vae", "training.log_every=3"), "--run-dir", tmp_path)
    assert same.returncode == 0, same.stderr
    assert RunFolder(tmp_path).config().training.log_every == 3
