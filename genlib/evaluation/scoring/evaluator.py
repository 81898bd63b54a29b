"""The evaluator: extractors, references and the real-data floor that a model's samples and the model are scored by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Protocol

import torch

from genlib.config.training import EvaluationConfig
from genlib.contexts.base import Condition
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.evaluation.estimates import Estimate, Findings
from genlib.evaluation.preflight import check_dimensions
from genlib.evaluation.scoring.baseline import Baseline, baseline_of
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.floor import floor_of
from genlib.evaluation.scoring.held_out import HeldOut, HeldOutModel
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import SampleScorer, SampleScores
from genlib.models.base import EncoderModel, LatentVariableModel
from genlib.sampling.sampler import TrainedSampler


@dataclass(frozen=True)
class Evaluator:
    """Scores samplers and models against a dataset."""

    device: torch.device
    scorer: SampleScorer
    floor: dict[str, Estimate]  # by metric, of test images in the place of samples: a perfect model's values
    floor_count: int
    baseline: Baseline  # by which a model is seen to be better than a trivial one

    @property
    def dataset(self) -> DatasetFolder:
        return self.scorer.dataset

    @property
    def asked(self) -> EvaluationConfig:
        return self.scorer.asked

    @property
    def processes(self) -> Processes:
        return self.scorer.processes

    def samples(self, sampler: TrainedSampler) -> tuple[SampleScores, list[dict[str, Estimate]]]:
        """The samples of the first seed, and the metrics of every seed's."""
        first, *others = (self.samples_of_seed(sampler, seed) for seed in seeds_of(self.asked))
        return first, [first.metrics, *(other.metrics for other in others)]

    def samples_of_seed(self, sampler: TrainedSampler, seed: int) -> SampleScores:
        labels = partial(sampler.labels, seed=seed) if sampler.classes else None
        return self.scorer(partial(sampler.chunk, seed=seed), self.asked.samples, f"samples, seed {seed}", labels)

    def model(self, model: EncoderModel, test: HeldOut) -> Findings:
        """The likelihood of test images or points, where the model has one, and the likeness of reconstructions."""
        asked = self.asked
        if isinstance(model, LatentVariableModel) and self.processes.rank == 0:
            # It may take long, and a log has no progress bar.
            what = "points" if self.dataset.is_points else "images"
            print(f"Likelihood of {test.count} test {what} with {asked.likelihood_samples} samples each.", flush=True)
        return HeldOutModel(model, test, asked.likelihood_samples, self.scorer).measured()

    def conditions(self, sampler: TrainedSampler, binarize: bool) -> tuple[Findings, dict[str, Any]]:
        """The metrics of samples for the conditions of test images, beside baselines without a model, and their
        provenance; nothing for a sampler without a condition.
        """
        if not sampler.condition:
            return Findings(), {}
        part = whole_test_split(self.dataset)
        scorer = condition_scorer(self.scorer, sampler.condition, part, binarize, self.asked.samples_per_condition)
        return scorer(sampler, baselines=True), {"conditions": scorer.provenance}


def make_evaluator(
    dataset: DatasetFolder,
    asked: EvaluationConfig,
    processes: Processes,
    device: torch.device,
    with_baseline: bool = True,
) -> Evaluator:
    """Extractors, references, the real-data floor and the baseline; every process must ask for it.

    A model of images under a condition has no use for the baseline, which draws without one.
    """
    extractors = build_extractors(asked, dataset, device, processes)
    check_dimensions(asked, extractors.main.num_features, "evaluation.samples", asked.samples)
    scorer = SampleScorer(dataset, extractors, asked, processes)
    count = min(asked.samples, dataset.manifest.counts["test"])
    floor = floor_of(scorer, count)
    baseline = baseline_of(scorer, seeds_of(asked), device) if with_baseline else Baseline()
    return Evaluator(device, scorer, floor, count, baseline)


class ConditionScorer(Protocol):
    """Scores samples for the conditions of a part's images; every process must make it, and call it."""

    @property
    def provenance(self) -> dict[str, Any]: ...

    def __call__(self, sampler: TrainedSampler, baselines: bool = False) -> Findings: ...


def condition_scorer(
    scorer: SampleScorer, condition: Condition, part: HeldOutPart, binarize: bool, samples: int
) -> ConditionScorer:
    """The scorer that a condition names, by `samples` for the condition of each image, where it takes several."""
    module, _, name = condition.scorer.partition(":")
    return getattr(import_module(module), name)(scorer, condition, part, binarize, samples)


def seeds_of(asked: EvaluationConfig) -> list[int]:
    """The sampling seeds."""
    return list(range(asked.seed, asked.seed + asked.seeds))
