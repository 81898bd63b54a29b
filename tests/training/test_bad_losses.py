"""A step whose loss is NaN or infinite leaves nothing behind, whatever its gradients are."""

from __future__ import annotations

import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.testing import assert_close

from genlib.models.base import Batch, Phase
from genlib.models.optimizer import OptimizerConfig
from genlib.training.phases import ActivePhase
from genlib.training.state.bad_updates import state_buffers
from tests.training.test_graphs import trainer_of


class Shifted(nn.Module):
    """Its gradient is 1 whatever is added to its loss."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1, bias=False)
        self.phases = (Phase("only", self.line, OptimizerConfig()),)

    def loss(self, phase, batch):
        return {"total": self.line.weight.sum() + batch.images.sum()}


@pytest.mark.parametrize("added", [math.nan, math.inf, -math.inf, 0.0])
def test_a_nan_or_infinite_loss_is_no_update_though_its_gradients_are_finite(added):
    method = Shifted()
    active = ActivePhase(Accelerator(cpu=True), method, method.phases[0], steps=1)
    before = method.line.weight.detach().clone()
    turn = active.turn([Batch(torch.tensor([added]), None)], seeds=[0])
    assert turn.bad == (not math.isfinite(added))
    assert torch.equal(method.line.weight, before) == (not math.isfinite(added))


def test_buffers_that_are_kept_are_state_and_running_statistics_are_not():
    module = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    module[1].register_buffer("kept", torch.zeros(1))
    module[1].register_buffer("a_constant", torch.zeros(2), persistent=False)
    (found,) = state_buffers(module)
    assert found is module[1].kept


def test_a_codebook_does_not_move_with_a_step_that_is_left_out(genlib_home, tmp_path):
    trainer = trainer_of("vq_vae_digits", tmp_path)
    trainer.take_step(0)
    wrapped, before = trainer.phases[0].wrapped, {k: v.clone() for k, v in trainer.method.state_dict().items()}
    loss = wrapped._loss

    def bad(batch):
        losses = loss(batch)
        return losses | {"total": losses["total"] + math.nan}

    trainer.phases = trainer.phases[:1]
    wrapped._loss = bad
    trainer.take_step(1)
    assert_close(trainer.method.state_dict(), before, rtol=0, atol=0)
    wrapped._loss = loss
    trainer.take_step(1)
    codebook = next(name for name in before if name.endswith("codebook"))
    assert not torch.equal(trainer.method.state_dict()[codebook], before[codebook])
