import numpy as np
import pytest
import torch
from torch.testing import assert_close

from genlib.conditions.low_resolution.config import LowResolutionCondition
from genlib.data.batches import Batches, EpochOrder

ROWS = 50
IMAGES = np.arange(ROWS, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 2, 2), dtype=np.uint8)
LABELS = np.arange(ROWS)


def batches(mine=range(2), micro_batches=2, draws=1, resident_bytes=1e9, seed=0):
    return Batches(
        IMAGES,
        LABELS,
        batch_size=12,
        micro_batches=micro_batches,
        mine=mine,
        draws=draws,
        seed=seed,
        device=torch.device("cpu"),
        resident_bytes=resident_bytes,
    )


def test_an_epoch_is_every_row_once_and_the_next_one_in_another_order():
    order = EpochOrder(ROWS, seed=3, device=torch.device("cpu"))
    first, second = order(0, ROWS), order(ROWS, ROWS)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(ROWS))
    assert not torch.equal(first, second)
    assert torch.equal(order(ROWS - 5, 10), torch.cat([first[-5:], second[:5]]))


def test_a_batch_is_a_function_of_seed_and_step():
    forwards = [batches().of_step(step)[0][0].labels for step in range(3)]
    steps = batches()
    assert torch.equal(steps.of_step(2)[0][0].labels, forwards[2])
    assert torch.equal(steps.of_step(0)[0][0].labels, forwards[0])
    assert not torch.equal(batches(seed=1).of_step(0)[0][0].labels, forwards[0])


def test_processes_take_the_micro_batches_that_one_process_would_take():
    alone = [batch.labels for batch in batches().of_step(5)[0]]
    shared = [batches(mine=range(rank, rank + 1)).of_step(5)[0][0].labels for rank in (0, 1)]
    assert torch.equal(torch.stack(alone), torch.stack(shared))


def test_repeats_of_a_phase_get_fresh_images():
    several = batches(draws=2)
    first = [torch.cat([batch.labels for batch in draw]) for draw in several.of_step(0)]
    assert not set(first[0].tolist()) & set(first[1].tolist())


def test_labels_belong_to_their_images_and_pixels_reach_from_minus_one():
    (batch, _), *_ = batches().of_step(0)
    assert_close(batch.images[:, 0, 0, 0], batch.labels.float() / 127.5 - 1)


@pytest.mark.parametrize("draws", [1, 3])
def test_reading_from_a_file_gives_what_lies_on_the_device(draws, tmp_path):
    resident, streaming = batches(draws=draws), batches(draws=draws, resident_bytes=0)
    assert resident.resident and not streaming.resident
    for step in (0, 1, 2, 7, 3):
        for here, there in zip(resident.of_step(step), streaming.of_step(step), strict=True):
            for ours, theirs in zip(here, there, strict=True):
                assert_close(ours, theirs)


@pytest.mark.parametrize("resident_bytes", [0, 1e9])
def test_points_keep_their_values_whatever_layout_images_would_have(resident_bytes):
    points = np.random.default_rng(0).normal(size=(ROWS, 2)).astype(np.float32) * 100
    steps = Batches(
        points,
        LABELS,
        batch_size=10,
        micro_batches=1,
        mine=range(1),
        draws=1,
        seed=0,
        device=torch.device("cpu"),
        resident_bytes=resident_bytes,
        memory_format=torch.channels_last,
    )
    for step in range(3):
        ((batch,),) = steps.of_step(step)
        assert batch.images.dtype == torch.float32
        assert torch.equal(batch.images, torch.from_numpy(points)[batch.labels])


SIDES = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 4, 4), dtype=np.uint8)  # no two pixels of a row alike


def mirroring(mirror=True, mine=range(2), draws=1, resident_bytes=1e9, seed=0, **options):
    return Batches(
        SIDES,
        LABELS,
        batch_size=12,
        micro_batches=2,
        mine=mine,
        draws=draws,
        seed=seed,
        device=torch.device("cpu"),
        resident_bytes=resident_bytes,
        mirror=mirror,
        **options,
    )


def images_of(steps, step):
    """(draws * micro-batches, B, C, H, W)"""
    return torch.stack([batch.images for draw in steps.of_step(step) for batch in draw])


def test_a_mirrored_batch_holds_each_image_as_it_is_or_with_left_and_right_exchanged():
    plain, mirrored = mirroring(mirror=False), mirroring()
    exchanged = []
    for step in range(100):
        images, found = images_of(plain, step).flatten(0, 1), images_of(mirrored, step).flatten(0, 1)
        as_they_are = (found == images).flatten(1).all(1)
        exchanged.append((found == images.flip(3)).flatten(1).all(1))
        assert (as_they_are ^ exchanged[-1]).all()
    shares = torch.stack(exchanged).float()  # (steps, images)
    assert shares.mean().item() == pytest.approx(0.5, abs=0.06)  # 4 standard deviations
    assert len(shares.unique(dim=0)) > 95, "each step has draws of its own"
    assert not torch.equal(shares[:, :6], shares[:, 6:]), "so has each micro-batch"


@pytest.mark.parametrize("resident_bytes", [0, 1e9])
def test_mirroring_is_a_function_of_seed_step_and_micro_batch_wherever_the_images_are(resident_bytes):
    expected = [images_of(mirroring(draws=2), step) for step in range(4)]
    again = mirroring(draws=2, resident_bytes=resident_bytes)
    for step in (2, 0, 3):
        assert torch.equal(images_of(again, step), expected[step])
    ranks = [images_of(mirroring(draws=2, mine=range(rank, rank + 1)), 3) for rank in (0, 1)]
    assert torch.equal(torch.stack(ranks, dim=1).flatten(0, 1), expected[3])
    assert not torch.equal(images_of(mirroring(draws=2, seed=1), 3), expected[3])


def test_a_context_is_made_from_the_image_as_it_is_mirrored():
    condition = LowResolutionCondition(factor=2).build((3, 4, 4))
    ((first, second),) = mirroring(condition=condition).of_step(0)
    for batch in (first, second):
        assert_close(batch.context, condition.of_images(batch.images, None, torch.Generator()))
    plain = torch.cat([batch.context for batch in mirroring(mirror=False, condition=condition).of_step(0)[0]])
    assert not torch.equal(torch.cat([first.context, second.context]), plain)
