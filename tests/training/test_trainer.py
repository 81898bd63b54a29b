"""Which images the turns of a step take."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from genlib.data.making.prepare import prepare
from genlib.runs.folder import RunFolder
from genlib.training.trainer import Trainer
from tests.family import tiny_config


def images_of_turns(folder, loss: str, repeats: int, steps: range) -> tuple[Trainer, dict[str, list[Tensor]]]:
    """What every micro-batch of either phase held, by phase."""
    config = tiny_config("r3gan_ring8")
    raw = config.model_dump()
    raw["method"] |= {"loss": loss, "discriminator_steps": repeats}
    config = type(config).model_validate(raw)
    AcceleratorState._reset_state()
    trainer = Trainer(config, RunFolder(folder), prepare(config.data), Accelerator(cpu=True))
    found: dict[str, list[Tensor]] = {active.phase.name: [] for active in trainer.phases}
    for active in trainer.phases:
        taken = found[active.phase.name]
        active.wrapped.register_forward_pre_hook(lambda module, inputs, taken=taken: taken.append(inputs[0].images))
    for step in steps:
        trainer.take_step(step)
    return trainer, found


def rows(images: list[Tensor]) -> set[tuple[float, ...]]:
    return {tuple(row) for row in torch.cat(images).tolist()}


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_generator_that_compares_takes_images_that_the_discriminator_did_not(repeats, genlib_home, tmp_path):
    trainer, found = images_of_turns(tmp_path, "relativistic", repeats, range(1))
    assert len(rows(found["discriminator"])) == 16 * repeats
    assert len(rows(found["generator"])) == 16
    assert not rows(found["discriminator"]) & rows(found["generator"])
    assert trainer.images_per_step == 16 * repeats  # as without


def test_another_generator_takes_those_of_the_discriminators_first_turn(genlib_home, tmp_path):
    _, found = images_of_turns(tmp_path, "non_saturating", 2, range(1))
    assert torch.equal(torch.cat(found["generator"]), torch.cat(found["discriminator"][:2]))


def test_the_images_of_a_phase_depend_on_the_step_alone(genlib_home, tmp_path):
    _, through = images_of_turns(tmp_path / "through", "relativistic", 2, range(4))
    _, resumed = images_of_turns(tmp_path / "resumed", "relativistic", 2, range(2, 4))
    for phase, images in resumed.items():
        assert torch.equal(torch.cat(images), torch.cat(through[phase][-len(images) :]))


def test_within_an_epoch_no_image_comes_twice_whichever_phase_takes_it(genlib_home, tmp_path):
    _, found = images_of_turns(tmp_path, "relativistic", 1, range(4))  # 2 x 64 of 200 images
    assert len(rows(found["discriminator"]) | rows(found["generator"])) == 128
