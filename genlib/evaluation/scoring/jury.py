"""What images are judged by: extractors, references and the real-data floor; and a model by its likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import torch

from genlib.config.metrics import DISTANCES
from genlib.config.training import EvaluationConfig
from genlib.contexts.base import Condition
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.evaluation.estimates import Estimate, Findings, over_images
from genlib.evaluation.extractors.panel import build_panel
from genlib.evaluation.metrics.frechet import frechet_distance
from genlib.evaluation.metrics.likelihood import likelihood
from genlib.evaluation.metrics.points import log_density, point_set_of
from genlib.evaluation.metrics.reconstruction import reconstruction_metrics, reconstructions_of
from genlib.evaluation.preflight import check_dimensions
from genlib.evaluation.scoring.floor import floor_of
from genlib.evaluation.scoring.held_out import HeldOut
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import Judge
from genlib.models.base import EncoderModel, LatentVariableModel
from genlib.sampling.draw import CHUNK
from genlib.sampling.sampler import TrainedSampler


@dataclass(frozen=True)
class Jury:
    """All that is needed to judge images against a dataset."""

    dataset: DatasetFolder
    asked: EvaluationConfig
    processes: Processes
    device: torch.device
    judge: Judge
    floor: dict[str, Estimate]  # by metric, of test images in the place of samples: what a perfect model would give
    floor_count: int


def convene(dataset: DatasetFolder, asked: EvaluationConfig, processes: Processes, device: torch.device) -> Jury:
    """Extractors, references and the real-data floor."""
    panel = build_panel(asked, dataset, device, processes)
    check_dimensions(asked, panel.main.num_features, "evaluation.samples", asked.samples)
    judge = Judge(dataset, panel, asked, processes)
    count = min(asked.samples, dataset.manifest.counts["test"])
    return Jury(dataset, asked, processes, device, judge, floor_of(judge, count), count)


def judge_model(jury: Jury, model: EncoderModel, test: HeldOut) -> Findings:
    """The likelihood of test images or points, where the model has one, and the likeness of reconstructed images."""
    found = Findings()
    if isinstance(model, LatentVariableModel):
        found |= judge_likelihood(jury, model, test)
    if not jury.dataset.is_points:
        found |= reconstruction_metrics(model, test, jury.processes, jury.asked.batch_size)
        found |= Findings({f"r{DISTANCES[jury.judge.panel.main.name]}": reconstruction_distance(jury, model, test)})
    return found


def judge_conditions(jury: Jury, sampler: TrainedSampler, binarize: bool) -> tuple[Findings, dict[str, Any]]:
    """The metrics of samples for the contexts of test images, beside baselines that need no model, and the provenance;
    nothing for a sampler that takes no contexts.
    """
    if not sampler.condition:
        return Findings(), {}
    part = whole_test_split(jury.dataset)
    judge = judge_of(jury.judge, sampler.condition, part, binarize, jury.asked.samples_per_condition)
    return judge(sampler, baselines=True), {"conditions": judge.provenance}


class ContextScorer(Protocol):
    """Scores samples for the contexts of a part's images; every process must make it, and call it."""

    @property
    def provenance(self) -> dict[str, Any]: ...

    def __call__(self, sampler: TrainedSampler, baselines: bool = False) -> Findings: ...


def judge_of(judge: Judge, condition: Condition, part: HeldOutPart, binarize: bool, samples: int) -> ContextScorer:
    """The scorer that a condition names, of `samples` for each context of a part's images where it takes several."""
    module, _, name = condition.scorer.partition(":")
    return getattr(import_module(module), name)(judge, condition, part, binarize, samples)


def judge_likelihood(jury: Jury, model: LatentVariableModel, test: HeldOut) -> Findings:
    """Of points in the plane the exact log-likelihood is known, which is the floor."""
    asked, points = jury.asked, jury.dataset.is_points
    if jury.processes.rank == 0:  # it may take long, and a log has no progress bar
        what = "points" if points else "images"
        print(f"Likelihood of {test.count} test {what} with {asked.likelihood_samples} samples each.", flush=True)
    found = likelihood(model, test, asked.likelihood_samples, asked.seed, jury.processes, asked.batch_size)
    if points:
        judged = torch.cat([test.chunk(index) for index in range(-(-test.count // CHUNK))])[: test.count]
        exact = over_images(log_density(judged, point_set_of(jury.dataset)))
        found |= Findings(floor={"log_likelihood": exact})
    return found


def reconstruction_distance(jury: Jury, model: EncoderModel, test: HeldOut) -> Estimate:
    """The Fréchet distance of reconstructions to all test images."""
    again = reconstructions_of(model, test, jury.asked.batch_size)
    seen = jury.judge.see(again, test.count, "reconstructions")
    moments = seen.moments[jury.judge.panel.main.name]
    distance = jury.processes.first(lambda: frechet_distance(jury.judge.held_out.moments, moments).item())
    return Estimate(distance, test.count)
