"""Compiled losses give the gradients of eager ones, their draws and what is computed again included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genlib.layers.base import DataSpec
from genlib.models.base import Batch, Losses, Method, Phase
from genlib.training.phases import PhaseLoss
from tests.conftest import DEVICES
from tests.family import tiny_config

pytestmark = pytest.mark.slow(minutes=1)


def gradients(method: Method, phase: Phase, batch: Batch, compiled: bool) -> Tensor:
    loss = PhaseLoss(method, phase, compiled)
    method.requires_grad_(False)
    phase.trains.requires_grad_(True)
    torch.manual_seed(1)
    losses: Losses = loss(batch)
    found = torch.autograd.grad(losses["total"], list(phase.trains.parameters()))
    return torch.cat([gradient.flatten() for gradient in found])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "shape"), [("dcgan_digits", (1, 8, 8)), ("gan_two_moons", (2,))])
def test_gradients_of_every_phase_are_those_of_eager_training(name: str, shape: tuple[int, ...], device: str) -> None:
    """A generator's latents above all: drawn again in the backward pass, they would be others."""
    torch.manual_seed(0)
    method = tiny_config(name).method.build(DataSpec(shape)).to(device).train()
    batch = Batch(torch.rand(16, *shape, device=device) * 2 - 1, None)
    for phase in method.phases:
        torch.compiler.reset()
        eager, compiled = (gradients(method, phase, batch, compiled) for compiled in (False, True))
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5 * eager.norm().item())
