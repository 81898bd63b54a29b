"""Black or white pixels: drawn once for a folder, or afresh for each batch."""

import shutil

import numpy as np
import pytest
import torch

from genlib.data.batches import Batches
from genlib.data.making.prepare import prepare
from tests.data.examples import hub_folder, pictures, png, table

GREYS = np.array([0, 1, 51, 128, 254, 255], np.uint8)


@pytest.fixture
def greys(tmp_path):
    """A source of 1,600 images of 8 x 8 pixels, each of one grey."""
    images = [png(np.full((8, 8), grey, np.uint8)) for grey in GREYS]
    folder = tmp_path / "greys"
    table([images[row % len(GREYS)] for row in range(1200)]).to_parquet(str(folder / "train.parquet"))
    return folder


def assert_shares(white, greys, draws):
    """Of `draws` pixels of each grey, the share of white ones is the grey within 5 standard errors."""
    expected = greys / 255
    errors = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(white - expected) <= 5 * errors).all()


def test_a_pixel_is_white_with_its_grey_as_probability(home, config, greys):
    folder = prepare(config(greys, test_split="train", binarize="fixed"))
    images = folder.images("train")
    assert set(np.unique(images)) == {0, 255} and images.dtype == np.uint8
    white = np.array([(images[row :: len(GREYS)] == 255).mean() for row in range(len(GREYS))])
    assert_shares(white, GREYS, 200 * 64)
    np.testing.assert_allclose(folder.manifest.mean, images.mean(dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(folder.manifest.std, images.std(dtype=np.float64), rtol=1e-12)
    assert not np.array_equal(images, folder.images("test"))  # of the same greys: each part has its own draw


def test_the_draw_of_a_folder_is_the_same_each_time(home, config):
    first = prepare(config("digits", binarize="fixed"))
    content = first.manifest.content_hash
    assert (first.images("train") == 255).sum() == 28180  # raise FORMAT if others are drawn
    shutil.rmtree(first.path)
    assert prepare(config("digits", binarize="fixed")).manifest.content_hash == content


def test_images_to_be_drawn_afresh_stay_grey(home, config):
    grey, drawn = prepare(config("digits")), prepare(config("digits", binarize="draw"))
    assert drawn.manifest.content_hash == grey.manifest.content_hash and drawn.path != grey.path


def test_stacked_images_are_binarized_after_stacking(home, config, tmp_path):
    source, _ = hub_folder(tmp_path / "flowers")
    grey = prepare(config(source, channels=3, stacked=2000))
    binary = prepare(config(source, channels=3, stacked=2000, binarize="fixed"))
    np.testing.assert_array_equal(binary.labels("train"), grey.labels("train"))
    assert set(np.unique(binary.images("train"))) == {0, 255}
    # Binarized before, a grey image would be the same black and white one wherever it is stacked.
    assert len({bytes(image) for image in binary.images("train").reshape(-1, 64)}) > 5000
    np.testing.assert_allclose(binary.manifest.mean, grey.manifest.mean, rtol=0.01)
    np.testing.assert_allclose(binary.manifest.mean, binary.images("train").mean((0, 2, 3)), rtol=1e-9)


IMAGES = pictures(50, size=6)[:, None]


def batches(mine=range(2), draws=1, resident_bytes=1e9, seed=0, images=IMAGES):
    return Batches(
        images,
        None,
        batch_size=12,
        micro_batches=2,
        mine=mine,
        draws=draws,
        seed=seed,
        device=torch.device("cpu"),
        resident_bytes=resident_bytes,
        memory_format=torch.channels_last,
        binarize=True,
    )


def images_of(steps, step):
    """(draws, micro-batches, B, C, H, W)"""
    return torch.stack([torch.stack([batch.images for batch in draw]) for draw in steps.of_step(step)])


def test_batches_hold_minus_one_and_one_with_the_grey_as_probability():
    images = np.tile(GREYS[:, None, None, None], (50, 1, 40, 40))
    steps = batches(images=images)
    drawn = torch.cat([images_of(steps, step).flatten(0, 2) for step in range(25)])  # one epoch
    assert drawn.unique().tolist() == [-1, 1] and drawn.dtype == torch.float32
    shares = (drawn == 1).double().mean((1, 2, 3)).sort().values.reshape(6, 50).mean(1)
    assert_shares(shares.numpy(), GREYS, 50 * 1600)


def test_every_step_draw_and_micro_batch_has_its_own_draw():
    steps = batches(images=np.full((24, 1, 4, 4), 128, np.uint8), draws=2)
    drawn = torch.cat([images_of(steps, step).flatten(0, 1) for step in range(3)])
    assert len(drawn.flatten(1).unique(dim=0)) == 3 * 2 * 2
    assert len(drawn.flatten(0, 1).unique(dim=0)) > 60  # of 72 images


def test_a_binarized_batch_is_a_function_of_seed_and_step():
    forwards = [images_of(batches(), step) for step in range(4)]
    steps = batches()
    for step in (3, 1, 0, 2):
        assert torch.equal(images_of(steps, step), forwards[step])
    alike = np.full((24, 1, 4, 4), 128, np.uint8)  # so that the order does not matter
    assert not torch.equal(images_of(batches(images=alike, seed=1), 0), images_of(batches(images=alike), 0))


@pytest.mark.parametrize("draws", [1, 2])
def test_two_processes_draw_what_one_with_two_micro_batches_draws(draws):
    alone = images_of(batches(draws=draws), 7)
    shared = [images_of(batches(mine=range(rank, rank + 1), draws=draws), 7) for rank in (0, 1)]
    assert torch.equal(alone, torch.cat(shared, dim=1))


def test_reading_from_a_file_draws_what_is_drawn_on_the_device():
    resident, streaming = batches(draws=2), batches(draws=2, resident_bytes=0)
    for step in (0, 5, 6):
        assert torch.equal(images_of(resident, step), images_of(streaming, step))
    assert resident.of_step(0)[0][0].images.is_contiguous(memory_format=torch.channels_last)
