"""Pictures of the averaged model's samples, and the export of its sampler."""

from __future__ import annotations

from pathlib import Path

import torch

from genlib.config.run import RunConfig
from genlib.data.contexts import contexts_of
from genlib.data.folder import DatasetFolder
from genlib.data.parts import whole_test_split
from genlib.pixels.pictures import picture, write_png
from genlib.runs.folder import RunFolder
from genlib.sampling.export import export_sampler
from genlib.sampling.grid import sample_grid
from genlib.sampling.sampler import TrainedSampler
from genlib.training.outputs import Warn, attempt
from genlib.training.settle import settle
from genlib.training.state.ema import MovingAverage
from genlib.training.state.progress import Progress

GRID, REAL_POINTS = 64, 2000  # images of a sample grid; points of the data below those of a sample


class Exporter:
    """Writes what others see of a run's averaged model; used on the main process alone."""

    def __init__(
        self, config: RunConfig, run: RunFolder, dataset: DatasetFolder, average: MovingAverage, warn: Warn
    ) -> None:
        self.config, self.run_folder, self.dataset, self.average, self.warn = config, run, dataset, average, warn

    def sampler(self) -> TrainedSampler:
        """A sampler of the averaged model, settled: batch-norm statistics re-estimated, latents fitted."""
        model = self.average.current()
        settle(model, self.dataset, self.config.data)
        shape = tuple(self.dataset.manifest.shape)
        contexts = contexts_of(whole_test_split(self.dataset), self.config.data.binarize == "draw")
        return TrainedSampler(model.sampler, shape, self.dataset.label_shares()).bound_to(contexts)

    def show(self, step: int) -> None:
        """Write a picture of samples from the same noise every time; a conditional sampler's have a column for each
        label, or a row for each condition.
        """
        shown = sample_grid(self.sampler(), GRID, self.config.training.seed)
        real = torch.tensor(self.dataset.images("test")[:REAL_POINTS]) if self.dataset.is_points else None
        grid = picture(shown.images, real, columns=shown.columns)
        file = self.run_folder.samples / f"step-{step:08d}.png"

        def write() -> None:
            file.parent.mkdir(exist_ok=True)
            write_png(file, grid)

        attempt(f"samples/{file.name}", write, self.warn)

    def export(self, folder: Path, progress: Progress) -> None:
        """Export the sampler; OSError where the disk does not take it."""
        info = {
            "model": self.config.registry.model,
            "step": progress.step,
            "images": progress.images,
            "ema_half_life": self.config.training.ema_half_life,
            "dataset_hash": self.dataset.manifest.content_hash,
        }
        export_sampler(folder, self.sampler(), self.config, self.dataset.manifest.label_names, info)
