"""A reader of scenes: a classifier that tells what stands in each of their cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from genlib.conditions.caption.words import SIDE
from genlib.data.folder import MANIFEST, SPLITS, DatasetFolder, Split, images_file, labels_file, open_dataset
from genlib.data.making.scenes import EMPTY
from genlib.evaluation.extractors.classifier.network import classifier_extractor, classifier_folder
from genlib.evaluation.scoring.processes import Processes
from genlib.pixels.sizes import scene_cell
from genlib.runtime.randomness import generator_for
from genlib.storage.files import whole_folder

NOTHING_FOR_THINGS = 5  # things in the classifier's training for each empty cell
CELLS_FOLDER = "cells"


class Reader(nn.Module):
    """uint8 (N, C, H, W) => labels of the cells, int64 (N, 9), EMPTY where nothing stands."""

    def __init__(self, dataset: DatasetFolder, device: torch.device, processes: Processes) -> None:
        """Train the classifier, once for a dataset; every process must call it."""
        super().__init__()
        cells = open_dataset(processes.first(lambda: cells_of(dataset)))
        folder = processes.first(lambda: classifier_folder(cells, device))
        self.extractor = classifier_extractor(cells, folder, device)
        self.nothing = len(cells.manifest.label_names or ()) - 1
        self.facts = self.extractor.facts

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        parts = cut(images).flatten(0, 1).to(self.extractor.place.device)
        assert self.extractor.classify is not None
        found = self.extractor.classify(self.extractor(parts)).unflatten(0, (len(images), -1))
        return torch.where(found == self.nothing, EMPTY, found).cpu()


def cut(images: Tensor) -> Tensor:
    """(N, C, H, W) => the cells, row by row, (N, 9, C, h, w)."""
    size = images.shape[2]
    side = scene_cell(size)
    margin = (size - SIDE * side) // 2
    inner = images[:, :, margin : margin + SIDE * side, margin : margin + SIDE * side]
    rows = inner.unflatten(3, (SIDE, side)).unflatten(2, (SIDE, side))  # (N, C, 3, h, 3, w)
    return rows.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def cells_of(dataset: DatasetFolder) -> Path:
    """A dataset folder of single cells, labelled with what stands in them; made if it is not there."""
    folder = dataset.path / CELLS_FOLDER
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if not (folder / MANIFEST).exists():
            with whole_folder(folder) as partial:
                counts: dict[str, int] = {split: write_cells(dataset, split, partial) for split in SPLITS}
                side = scene_cell(dataset.manifest.shape[1])
                replace(
                    dataset.manifest,
                    counts=counts,
                    shape=[dataset.manifest.shape[0], side, side],
                    label_names=[*(dataset.scene_names or ()), "nothing"],
                    scenes=None,
                    request={},
                ).write(partial)
    return folder


def write_cells(dataset: DatasetFolder, split: Split, folder: Path) -> int:
    """All things, and some empty cells; returns how many."""
    labels = dataset.cells(split).reshape(-1)
    full, empty = np.flatnonzero(labels != EMPTY), np.flatnonzero(labels == EMPTY)
    order = torch.randperm(len(empty), generator=generator_for("empty cells", split)).numpy()
    chosen = np.sort(np.concatenate([full, empty[order[: len(full) // NOTHING_FOR_THINGS]]]))
    images, side = dataset.images(split), scene_cell(dataset.manifest.shape[1])
    found = np.empty((len(chosen), images.shape[1], side, side), np.uint8)
    scenes = chosen // SIDE**2
    for start in range(0, len(chosen), 4096):
        rows = slice(start, start + 4096)
        of_scenes = cut(torch.from_numpy(images[scenes[rows]]))
        found[rows] = of_scenes[torch.arange(len(of_scenes)), chosen[rows] % SIDE**2].numpy()
    np.save(images_file(folder, split), found)
    names = len(dataset.scene_names or ())
    np.save(labels_file(folder, split), np.where(labels[chosen] == EMPTY, names, labels[chosen]))
    return len(chosen)
