"""What images are judged by: extractors, references and the real-data floor; and a model by its likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from genlib.config import DISTANCES, EvaluationConfig
from genlib.data.folder import DatasetFolder
from genlib.evaluation.extractors import build_panel
from genlib.evaluation.features import Chunk
from genlib.evaluation.frechet import frechet_distance
from genlib.evaluation.likelihood import Likelihood, likelihood
from genlib.evaluation.measures import Estimate
from genlib.evaluation.preflight import check_dimensions
from genlib.evaluation.processes import Processes
from genlib.evaluation.reconstruction import reconstructions_of
from genlib.evaluation.reference import chunks_of
from genlib.evaluation.samples import Judge, Judged
from genlib.methods.base import LatentVariableMethod


@dataclass(frozen=True)
class Jury:
    """All that is needed to judge images against a dataset."""

    dataset: DatasetFolder
    asked: EvaluationConfig
    processes: Processes
    device: torch.device
    judge: Judge
    floor: Judged  # test images in the place of samples: what a perfect model would give
    floor_count: int


def convene(dataset: DatasetFolder, asked: EvaluationConfig, processes: Processes, device: torch.device) -> Jury:
    """Extractors, references and the real-data floor."""
    panel = build_panel(asked, dataset, device, processes)
    check_dimensions(asked, panel.main.num_features, "evaluation.samples", asked.samples)
    judge = Judge(dataset, panel, asked, processes)
    count = min(asked.samples, dataset.manifest.counts["test"])
    chunk = chunks_of(dataset, "test", judge.held_out.rows)
    return Jury(dataset, asked, processes, device, judge, judge(chunk, count, "test images", held_out=True), count)


def held_out_images(jury: Jury) -> tuple[Chunk, int]:
    """The test images that a model is judged on, and how many."""
    count = jury.dataset.manifest.counts["test"]
    wanted = jury.asked.likelihood_images or count
    return chunks_of(jury.dataset, "test", jury.judge.held_out.rows), min(wanted, count)


def judge_model(jury: Jury, method: LatentVariableMethod, model: nn.Module, test: Chunk, count: int) -> Likelihood:
    """The likelihood of test images, and the Fréchet distance of their reconstructions to all of them."""
    asked, main = jury.asked, jury.judge.panel.main.name
    if jury.processes.rank == 0:  # it may take long, and a log has no progress bar
        print(f"Likelihood of {count} test images with {asked.likelihood_samples} samples each.", flush=True)
    found = likelihood(
        method, model, test, count, asked.likelihood_samples, asked.seed, jury.processes, asked.batch_size
    )
    again = reconstructions_of(method, model, test, asked.batch_size)
    seen = jury.judge.see(again, count, "reconstructions")
    distance = jury.processes.first(lambda: frechet_distance(jury.judge.held_out.moments, seen.moments[main]).item())
    return replace(found, metrics=found.metrics | {f"r{DISTANCES[main]}": Estimate(distance, count)})
