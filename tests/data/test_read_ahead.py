import os

import numpy as np
import psutil
import pytest
import torch
from numpy.lib.format import open_memmap

from genlib.data.read_ahead import DEPTH, ReadAhead

ROWS, SHAPE = 4000, (3, 32, 32)
CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path):
    file = tmp_path / "images.npy"
    made = open_memmap(file, "w+", np.uint8, (ROWS, *SHAPE))
    made[:] = np.random.default_rng(0).integers(0, 256, (ROWS, 1, 1, 1), dtype=np.uint8)
    made[:, 0, 0, 0], made[:, 0, 0, 1] = np.arange(ROWS) % 256, np.arange(ROWS) // 256
    made.flush()
    return np.load(file, mmap_mode="r")


def of_step(step, parts=2, count=50):
    generator = torch.Generator().manual_seed(step)
    return [torch.randint(ROWS, (count,), generator=generator) for _ in range(parts)]


@pytest.mark.parametrize("kind", ["file", "array", "points"])
def test_each_step_gets_its_own_rows_in_order_or_not(images, tmp_path, kind):
    if kind == "array":
        images = np.array(images)
    if kind == "points":
        np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(ROWS, 2)).astype(np.float32))
        images = np.load(tmp_path / "points.npy", mmap_mode="r")
    steps = ReadAhead(images, CPU)
    steps.begin(of_step)
    for step in [*range(2 * DEPTH + 1), 40, 41, 3, 3, 4]:
        for (rows, found), expected in zip(steps(step), of_step(step), strict=True):
            assert torch.equal(rows, expected)
            np.testing.assert_array_equal(found.numpy(), images[expected.numpy()])


def test_other_rows_after_a_new_beginning(images):
    steps = ReadAhead(images, CPU)
    steps.begin(of_step)
    steps(0)
    steps.begin(lambda step: of_step(step + 100, parts=1, count=7))
    ((rows, found),) = steps(1)
    assert torch.equal(rows, of_step(101, parts=1, count=7)[0])
    np.testing.assert_array_equal(found.numpy(), images[rows.numpy()])


def test_what_was_read_does_not_stay_in_memory(images):
    def every_row(step):
        return [(torch.arange(100) + 100 * step) % ROWS]

    steps, process = ReadAhead(images, CPU), psutil.Process()
    steps.begin(every_row)
    for step in range(DEPTH):
        steps(step)
    before = process.memory_info().rss
    grown = 0
    for step in range(DEPTH, ROWS // 100):
        steps(step)
        grown = max(grown, process.memory_info().rss - before)
    assert grown < images.nbytes / 4


def test_a_file_that_has_become_shorter_is_named(images):
    steps = ReadAhead(images, CPU)
    steps.begin(of_step)
    os.truncate(images.filename, 100_000)
    with pytest.raises(OSError, match="has become shorter"):
        steps(0)


def test_an_error_of_the_reader_reaches_the_caller(images):
    steps = ReadAhead(images, CPU)
    steps.begin(lambda step: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        steps(0)
