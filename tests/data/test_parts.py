"""The validation part: never trained on, whatever the process, the micro-batch or the place of the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.data.batches import Batches
from genlib.data.parts import parts_of_train
from tests.conftest import FILES

ROWS = 57


def config_of(*overrides: str) -> RunConfig:
    return load_config(FILES["vae"], ["registry.metric=elbo", "evaluation.every=50", *overrides])


def batches(chosen: torch.Tensor | None, mine: range, resident_bytes: float) -> Batches:
    images = np.arange(ROWS, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), dtype=np.uint8)
    return Batches(
        images,
        np.arange(ROWS),
        batch_size=12,
        micro_batches=2,
        mine=mine,
        draws=1,
        seed=0,
        device=torch.device("cpu"),
        resident_bytes=resident_bytes,
        chosen=chosen,
    )


def test_the_train_split_falls_into_rows_to_learn_from_and_validation_rows_by_the_seed_alone() -> None:
    learned_from, left_out = parts_of_train(config_of("data.validation_fraction=0.2"), ROWS)
    assert len(left_out) == 11 and sorted([*learned_from.tolist(), *left_out.tolist()]) == list(range(ROWS))
    assert learned_from.tolist() == sorted(learned_from.tolist())
    again = parts_of_train(config_of("data.validation_fraction=0.2", "training.steps=3"), ROWS)
    assert torch.equal(again[1], left_out)
    other = parts_of_train(config_of("data.validation_fraction=0.2", "training.seed=1"), ROWS)
    assert not torch.equal(other[1], left_out)
    assert len(parts_of_train(config_of(), ROWS)[1]) == 6  # a tenth, where nothing is said


@pytest.mark.parametrize(
    ("overrides", "fraction"),
    [
        ([], 0.1),
        (["registry.metric=ssim"], 0.1),
        (["registry.metric=ssim", "data.validation_fraction=0.3"], 0.3),
        (["evaluation.every=null"], 0),
        (["registry.metric=fd_classifier"], 0),
        (["registry.metric=fd_classifier", "condition=masked", "method.latents=normal"], 0.1),
        (["data.validation_fraction=0"], 0),
    ],
)
def test_rows_are_left_out_only_where_a_metric_of_held_out_images_chooses_a_checkpoint(
    overrides: list[str], fraction: float
) -> None:
    config = config_of(*overrides)
    assert config.held_back == fraction
    assert len(parts_of_train(config, 100)[1]) == round(100 * fraction)


@pytest.mark.parametrize("resident_bytes", [1e9, 0])
def test_no_batch_holds_a_validation_row_and_every_other_row_comes_once_an_epoch(resident_bytes: float) -> None:
    learned_from, left_out = parts_of_train(config_of("data.validation_fraction=0.15"), ROWS)
    assert len(learned_from) == 48  # four batches
    found = batches(learned_from, range(2), resident_bytes)
    for epoch in range(3):
        steps = [found.of_step(4 * epoch + step)[0] for step in range(4)]
        assert all(torch.equal(of.labels, torch.round((of.images[:, 0, 0, 0] + 1) * 127.5)) for of in sum(steps, []))
        assert sorted(torch.cat([of.labels for of in sum(steps, [])]).tolist()) == learned_from.tolist()


@pytest.mark.parametrize("resident_bytes", [1e9, 0])
def test_two_processes_take_what_one_process_takes_and_any_step_may_be_the_first(resident_bytes: float) -> None:
    learned_from, _ = parts_of_train(config_of(), ROWS)
    alone = batches(learned_from, range(2), resident_bytes)
    for step in (7, 8, 2):
        expected = [batch.images.clone() for batch in alone.of_step(step)[0]]
        for rank in (0, 1):
            (mine,) = batches(learned_from, range(rank, rank + 1), resident_bytes).of_step(step)[0]
            assert torch.equal(mine.images, expected[rank])
