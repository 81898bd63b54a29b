"""Small dataset folders of the embedded digits and of points, made without the prepare step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from genlib.data.folder import DatasetFolder, Manifest, open_dataset
from genlib.data.sources import point_set_of
from genlib.evaluation.scoring.processes import Processes


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
    splits = {
        part: (images[rows], labels[rows] if labelled else None)
        for part, rows in (("train", slice(train)), ("test", slice(-test, None)))
    }
    names = list("0123456789") if labelled else None
    return written(path, "digits", splits, names, f"{train}-{test}-{labelled}")


@pytest.fixture
def make_stacked(tmp_path: Path) -> Callable[..., DatasetFolder]:
    """Digits below `classes` as the three channels of colour images."""

    def make(classes: int = 3, train: int = 600, test: int = 200) -> DatasetFolder:
        grey = digits_folder(tmp_path / "grey", 1400, 397)
        splits = {}
        for part, count in (("train", train), ("test", test)):
            images, labels = grey.images(part), grey.labels(part)
            few = np.flatnonzero(labels < classes)
            rows = np.random.RandomState(count).choice(few, (count, 3))
            splits[part] = images[rows, 0], labels[rows] @ np.array([classes**2, classes, 1])
        names = ["".join(map(str, triple)) for triple in product(range(classes), repeat=3)]
        return written(tmp_path / "stacked", "digits", splits, names, f"stacked {classes}", {"stacked": train})

    return make


@pytest.fixture
def make_points(tmp_path: Path) -> Callable[..., DatasetFolder]:
    def make(name: str = "ring8", train: int = 800, test: int = 400) -> DatasetFolder:
        splits = {
            part: point_set_of(name).draw(count, np.random.RandomState(count))
            for part, count in (("train", train), ("test", test))
        }
        return written(tmp_path / name, name, splits, point_set_of(name).label_names, f"{name} {train} {test}")

    return make


def written(
    path: Path,
    source: str,
    splits: dict[str, tuple[np.ndarray, np.ndarray | None]],
    label_names: list[str] | None,
    content_hash: str,
    request: dict[str, int] | None = None,
) -> DatasetFolder:
    """A folder of these images or points and labels."""
    path.mkdir(parents=True)
    for part, (images, labels) in splits.items():
        np.save(path / f"{part}_images.npy", images)
        if labels is not None:
            np.save(path / f"{part}_labels.npy", labels)
    Manifest(
        source=source,
        revision=None,
        request=request or {},
        counts={part: len(images) for part, (images, _) in splits.items()},
        skipped={"train": 0, "test": 0},
        shape=list(splits["train"][0].shape[1:]),
        label_names=label_names,
        mean=[0.0],
        std=[1.0],
        content_hash=content_hash,
        versions={},
        created="",
    ).write(path)
    return open_dataset(path)
