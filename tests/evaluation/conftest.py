"""A small dataset folder of the embedded digits, made without the prepare step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from genlib.data.folder import DatasetFolder, Manifest, open_dataset
from genlib.evaluation.processes import Processes


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are too small to share out over threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def alone() -> Processes:
    return Processes(torch.device("cpu"))


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., DatasetFolder]:
    def make(train: int = 1000, test: int = 300, labelled: bool = True, name: str = "digits") -> DatasetFolder:
        return digits_folder(tmp_path / name, train, test, labelled)

    return make


def digits_folder(path: Path, train: int, test: int, labelled: bool = True) -> DatasetFolder:
    """The first `train` digits and the last `test` ones."""
    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    path.mkdir(parents=True)
    for part, rows in (("train", slice(train)), ("test", slice(-test, None))):
        np.save(path / f"{part}_images.npy", images[rows])
        if labelled:
            np.save(path / f"{part}_labels.npy", labels[rows])
    Manifest(
        source="digits",
        revision=None,
        request={},
        counts={"train": train, "test": test},
        skipped={"train": 0, "test": 0},
        shape=[1, 8, 8],
        label_names=list("0123456789") if labelled else None,
        mean=[0.0],
        std=[1.0],
        content_hash=f"{train}-{test}-{labelled}",
        versions={},
        created="",
    ).write(path)
    return open_dataset(path)
