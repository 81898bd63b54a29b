"""A turn in one call is the turn. Where there is no GPU a stand-in records the call instead of the kernels."""

from __future__ import annotations

from functools import partial

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.testing import assert_close

from genlib.data.making.prepare import prepare
from genlib.runs.folder import RunFolder
from genlib.training.graphs import WARM_UP, CudaGraphs
from genlib.training.phases import Eager
from genlib.training.trainer import Trainer
from tests.family import tiny_config

FAMILIES = ["vae_digits", "iwae_digits", "cvae_digits", "wgan_gp_swiss_roll", "vq_vae_digits", "hinge_sngan_cifar10"]
STEPS = 2 * WARM_UP + 4


def trainer_of(name, folder, device="cpu", method=None, **training):
    config = tiny_config(name)
    alone = {"micro_batches": 1, "steps": STEPS, "log_every": 4, "device": "auto"} | training
    raw = config.model_dump() | {"training": config.training.model_dump() | alone}
    raw["method"] |= method or {}
    config = type(config).model_validate(raw)
    AcceleratorState._reset_state()
    return Trainer(config, RunFolder(folder), prepare(config.data), Accelerator(cpu=device == "cpu"))


def trained(trainer):
    for step in range(STEPS):
        trainer.take_step(step)
    trainer.meter.read()
    return trainer.method.state_dict(), trainer.meter.means()


def tensors(turn):
    return [*turn.losses[0].values(), turn.bad, *([] if turn.norm is None else [turn.norm])]


@pytest.fixture
def calls(monkeypatch):
    """How often each recorded turn was done, each time into the tensors of the first, as a graph does. Other turns have
    their learning rates in tensors too, rounded alike.
    """
    monkeypatch.setattr(Eager, "capturable", True)
    made = []

    def record(turn):
        made.append(0)
        number, places = len(made) - 1, []

        def replay():
            made[number] += 1
            done = turn()
            if not places:
                places.append(done)
                return done
            for place, value in zip(tensors(places[0]), tensors(done), strict=True):
                place.copy_(value)
            return places[0]

        return replay

    monkeypatch.setattr("genlib.training.trainer.CudaGraphs", partial(CudaGraphs, capture=record))
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_turns_in_one_call_train_the_same_model(name, calls, genlib_home, tmp_path):
    plain = trained(trainer_of(name, tmp_path / "plain", gradient_clip=1.0))
    captured = trained(trainer_of(name, tmp_path / "captured", cuda_graphs=True, gradient_clip=1.0))
    assert_close(captured, plain, rtol=0, atol=0)
    assert calls and sum(calls) >= STEPS - WARM_UP


def test_a_step_with_a_penalty_and_one_without_are_recorded_apart(calls, genlib_home, tmp_path):
    lazy = {"penalty": {"name": "gradient_penalty", "weight": 1.0, "every": 3}, "discriminator_steps": 1}
    plain = trained(trainer_of("wgan_gp_swiss_roll", tmp_path / "plain", method=lazy))
    captured = trained(trainer_of("wgan_gp_swiss_roll", tmp_path / "captured", method=lazy, cuda_graphs=True))
    assert_close(captured, plain, rtol=0, atol=0)
    later = range(WARM_UP, STEPS)
    penalized = sum(step % 3 == 0 for step in later)
    # The discriminator's two, and the generator's, which knows no penalty but is recorded with it.
    assert sorted(calls) == sorted(2 * [penalized, len(later) - penalized])


def test_a_recorded_turn_follows_the_learning_rate(calls, genlib_home, tmp_path):
    falling = {"optimizer": {"schedule": "cosine", "warm_up_steps": 2}}
    plain = trained(trainer_of("vae_digits", tmp_path / "plain", method=falling))
    captured = trained(trainer_of("vae_digits", tmp_path / "captured", method=falling, cuda_graphs=True))
    assert_close(captured, plain, rtol=0, atol=0)
    assert calls == [STEPS - WARM_UP]


def test_a_turn_is_recorded_again_after_a_rollback(calls, genlib_home, tmp_path):
    trainer = trainer_of("vae_digits", tmp_path, cuda_graphs=True)
    for step in range(WARM_UP + 2):
        trainer.take_step(step)
    trainer.phases[0].reset(0.5)
    trainer.take_step(WARM_UP + 2)
    assert calls == [2, 1]
    assert trainer.optimizers["vae"].param_groups[0]["lr"] == pytest.approx(0.5 * 1e-3)


def test_several_micro_batches_or_a_cpu_are_refused(tiny, command, tmp_path):
    several = command("genlib", "train", *tiny("vae", "training.cuda_graphs=true", "training.micro_batches=2"))
    assert several.returncode == 2 and several.stderr.count("\n") == 1
    assert "for one process and one micro-batch, not 2" in several.stderr
    on_cpu = command("genlib", "train", *tiny("vae", "training.cuda_graphs=true", "training.device=cpu"))
    assert on_cpu.returncode == 2 and on_cpu.stderr.count("\n") == 1
    assert "one process on an NVIDIA GPU, and this training would be 1 on cpu; leave it out." in on_cpu.stderr


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", FAMILIES)
def test_on_a_gpu_too(name, compiled, genlib_home, tmp_path):
    plain = trained(trainer_of(name, tmp_path / "plain", device="cuda", compile=compiled))
    captured = trained(trainer_of(name, tmp_path / "captured", device="cuda", compile=compiled, cuda_graphs=True))
    assert_close(captured, plain, rtol=1e-4, atol=1e-5)
