"""Training does on a GPU what it does on a CPU: bad updates, bfloat16 beside penalties, channels_last."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import nn
from torch.testing import assert_close

from genlib.data.making.prepare import prepare
from genlib.models.optimizer import OptimizerConfig
from genlib.runs.folder import RunFolder
from genlib.training.phases import build_optimizer
from genlib.training.state.bad_updates import step_unless
from genlib.training.train import make_accelerator
from genlib.training.trainer import Trainer
from tests.conftest import DEVICES
from tests.family import tiny_config

STEPS = 4


def trained(name: str, folder: Path, device: str, **training: Any) -> Trainer:
    """A tiny training of a shipped configuration, after STEPS steps."""
    config = tiny_config(name)
    alone = {"micro_batches": 1, "device": "cpu" if device == "cpu" else "auto"} | training
    config = type(config).model_validate(config.model_dump() | {"training": config.training.model_dump() | alone})
    AcceleratorState._reset_state()
    trainer = Trainer(config, RunFolder(folder), prepare(config.data), make_accelerator(config))
    for step in range(STEPS):
        trainer.take_step(step)
    trainer.meter.read()
    trainer.bad_updates.read(STEPS)
    AcceleratorState._reset_state()
    return trainer


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("algorithm", ["adam", "rmsprop"])
def test_a_bad_update_leaves_weights_and_optimizer_as_they_were(algorithm: str, device: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).to(device)
    optimizer = build_optimizer(OptimizerConfig(algorithm=algorithm), list(layer.parameters()))

    def update(bad: bool) -> list[torch.Tensor]:
        for parameter in layer.parameters():
            parameter.grad = torch.full_like(parameter, math.nan if bad else 1.0)
        step_unless(torch.tensor(float(bad), device=device), optimizer)
        kept = [value for state in optimizer.state.values() for value in state.values()]
        return [value.detach().clone() for value in (*layer.parameters(), *kept)]

    good = update(bad=False)
    assert_close(update(bad=True), good, rtol=0, atol=0)
    moved = update(bad=False)
    assert all((after != before).all() for after, before in zip(moved[:2], good[:2], strict=True))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["wgan_gp_cifar10", "r3gan_cifar10"])
def test_bfloat16_beside_a_penalty_gives_losses_near_those_of_float32(
    name: str, device: str, genlib_home: Path, tmp_path: Path
) -> None:
    exact = trained(name, tmp_path / "exact", device)
    rough = trained(name, tmp_path / "rough", device, precision="bf16")
    assert rough.bad_updates.count == 0
    expected, found = exact.meter.means(), rough.meter.means()
    assert found.keys() == expected.keys() and found != expected
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=0.1, abs=0.1), key


@pytest.mark.parametrize("device", DEVICES)
def test_channels_last_trains_the_same_model(device: str, genlib_home: Path, tmp_path: Path) -> None:
    plain = trained("dcgan_digits", tmp_path / "plain", device)
    last = trained("dcgan_digits", tmp_path / "last", device, channels_last=True)
    weights = [value for value in last.method.state_dict().values() if value.dim() == 4 and min(value.shape[1:]) > 1]
    assert weights and all(value.is_contiguous(memory_format=torch.channels_last) for value in weights)
    assert_close(last.method.state_dict(), plain.method.state_dict(), rtol=1e-2, atol=1e-3)
