"""How many processes share the work does not change the model."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from genlib.runs.folder import RunFolder

# Accelerate's --cpu starts one process whatever --num_processes says; --multi_gpu starts several, on CPUs too.
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
ACCELERATE += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m", "genlib"]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "genlib"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "name", "launcher"), [("vae", "accelerate", ACCELERATE), ("gan", "torchrun", TORCHRUN)]
)
def test_two_processes_train_the_model_of_one_with_two_micro_batches(method, name, launcher, tiny, command, tmp_path):
    # Batch norm in both: it sees a micro-batch at a time.
    settings = ["training.device=cpu", "training.micro_batches=2", "training.ema_half_life=100", "training.log_every=5"]
    network = ["method.network={name: dcgan, width: 4}"] if method == "vae" else ["evaluation.every=7"]
    arguments = ["train", *tiny(method, *settings, *network)]
    alone = command("genlib", *arguments, "--run-dir", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    pair = command(launcher[0], *launcher[1:], *arguments, "--run-dir", tmp_path / name)
    assert pair.returncode == 0, pair.stderr
    assert RunFolder(tmp_path / name).result()["processes"] == 2
    assert pair.stdout.count("step 10/10") == 1, "only one process speaks"
    expected = load_file(tmp_path / "alone" / "sampler" / "weights.safetensors")
    actual = load_file(tmp_path / name / "sampler" / "weights.safetensors")
    assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    ours, theirs = (RunFolder(tmp_path / run).metrics()[-1] for run in ("alone", name))
    for key in ours:
        if "/" in key:
            assert theirs[key] == pytest.approx(ours[key], rel=1e-3, abs=1e-4), key


def test_micro_batches_that_do_not_share_out_over_the_processes_are_refused(tiny, command, tmp_path):
    arguments = ["train", *tiny("vae", "training.micro_batches=1"), "--run-dir", tmp_path]
    result = command(TORCHRUN[0], *TORCHRUN[1:], *arguments)
    assert result.returncode != 0
    message = "training.micro_batches (1) must be divisible by the number of processes (2); use 2."
    assert result.stderr.count(message) == 1
    assert not tmp_path.joinpath("config.yaml").exists()


@pytest.mark.parametrize(
    ("settings", "turns"),
    [
        (["method.discriminator_steps=1"], {"discriminator": 1, "generator": 1}),
        (["method.discriminator_steps=3", "training.micro_batches=4"], {"discriminator": 3, "generator": 1}),
        (
            ["method.loss=relativistic", "method.penalty={name: r1_r2}", "method.network={name: r3gan, width: 16}"],
            {"discriminator": 2, "generator": 1},
        ),
    ],
)
def test_each_turn_reduces_its_own_gradients_once_and_no_others(settings, turns, tiny, command):
    steps = 3
    config, *arguments = tiny("gan", "training.device=cpu", *settings)
    script = [*TORCHRUN[1:-1], "tests.training.collectives", config, str(steps), *arguments[1::2]]
    done = command(TORCHRUN[0], *script)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for phase, parameters in found["parameters"].items():
        assert sum(found["reduced"][phase]) == parameters * turns[phase] * steps
    assert found["all_reduces"] == sum(map(len, found["reduced"].values()))
