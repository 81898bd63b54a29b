"""A run that was cut equals one that was not, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from genlib.files import sha256_of_file
from genlib.training.checkpoint import finished_checkpoints, step_of
from genlib.training.run_folder import RunFolder
from tests.conftest import PROJECT

OFTEN = ["training.checkpoint_every=50", "training.log_every=5", "training.ema_half_life=100"]


def weights_hash(run_dir):
    return sha256_of_file(RunFolder(run_dir).sampler / "weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vae", "gan"])
def test_a_killed_run_ends_with_the_same_bits_as_one_never_killed(method, tiny, command, tmp_path):
    arguments = ["train", *tiny(method, "training.steps=1000", *OFTEN)]
    whole = command("genlib", *arguments, "--run-dir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr

    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "genlib", *map(str, arguments), "--run-dir", str(killed)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:  # kill it somewhere after its first lines, wherever that is
        if line.startswith("step 100/"):
            break
    time.sleep(os.getpid() % 10 / 100)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not RunFolder(killed).result(), "it was meant to be killed before its end"

    again = command("genlib", *arguments, "--run-dir", killed)
    assert again.returncode == 0, again.stderr
    assert "from step " in again.stdout
    assert weights_hash(killed) == weights_hash(tmp_path / "whole")
    steps = [line["step"] for line in RunFolder(killed).metrics()]
    assert steps == list(range(5, 1001, 5))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
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


def test_a_run_folder_of_another_configuration_is_refused_with_the_keys_that_differ(tiny, command, tmp_path):
    assert command("genlib", "train", *tiny("vae"), "--run-dir", tmp_path).returncode == 0
    other = command("genlib", "train", *tiny("vae", "training.seed=7", "method.sigma=0.5"), "--run-dir", tmp_path)
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
    assert "method.sigma (0.4 there, 0.5 asked)" in other.stderr and "training.seed (0 there, 7 asked)" in other.stderr


def test_what_does_not_change_the_model_may_change_on_going_on(tiny, command, tmp_path):
    (tmp_path / "samples").mkdir()  # what a run that was killed at its very beginning leaves
    assert command("genlib", "train", *tiny("vae"), "--run-dir", tmp_path).returncode == 0
    same = command("genlib", "train", *tiny("vae", "training.log_every=3"), "--run-dir", tmp_path)
    assert same.returncode == 0, same.stderr
    assert RunFolder(tmp_path).config().training.log_every == 3
