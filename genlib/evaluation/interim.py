"""The cheap part of an evaluation, at intervals during training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from genlib.config.metrics import IMPORTANCE_SAMPLES, metrics
from genlib.config.run import RunConfig
from genlib.data.contexts import contexts_of
from genlib.data.folder import DatasetFolder
from genlib.data.parts import choosing_part
from genlib.evaluation.estimates import Estimate
from genlib.evaluation.preflight import check_counts, check_metric, extractor_for
from genlib.evaluation.scoring.evaluator import condition_scorer
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.held_out import HeldOutModel, held_out_for
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.models.base import EncoderModel, GenerativeModel
from genlib.sampling.sampler import TrainedSampler
from genlib.training.settle import estimate_norms, settle_encoder
from genlib.training.trainer import Evaluate

FEW_OF_EACH = 2  # samples for each condition
MOST_IMPORTANCE_SAMPLES = 100  # where the gate's metric is the importance-sampled likelihood


def make_evaluate(config: RunConfig, dataset: DatasetFolder, device: torch.device) -> Evaluate:
    """The evaluation that the training loop calls on every process. Extractors and references are ready before the
    first step.

    UserError where weights are absent, or counts too small.
    """
    check_counts(config.evaluation, dataset.manifest)
    asked = config.evaluation.model_copy(update={"samples": config.evaluation.every_samples})
    check_metric(config.model_copy(update={"evaluation": asked}), dataset)
    processes = Processes(device)
    gate = metrics()[config.registry.metric]
    features, _ = extractor_for(asked, dataset)
    thorough = not gate.is_cheap(features)
    extractors = build_extractors(asked, dataset, device, processes, beside=thorough)
    scorer = SampleScorer(dataset, extractors, asked, processes, thorough)
    shares = dataset.label_shares()
    part = choosing_part(config, dataset)
    images = held_out_for(config, part, asked.samples)
    condition, binarize = images.condition, config.data.binarize == "draw"
    contexts = contexts_of(part, binarize)
    of_condition = condition_scorer(scorer, condition, part, binarize, FEW_OF_EACH) if condition else None
    is_importance_weighted = IMPORTANCE_SAMPLES in gate.depends_on
    importance_samples = min(asked.likelihood_samples, MOST_IMPORTANCE_SAMPLES) if is_importance_weighted else 1

    def evaluate(model: GenerativeModel, stopped: Callable[[], bool]) -> dict[str, float]:
        processes.stopped = stopped
        settle_encoder(model, dataset, config.data)
        of_model = held_out(model) if isinstance(model, EncoderModel) else {}
        estimate_norms(model.sampler, shares)  # last: images are encoded under other statistics
        sampler = TrainedSampler(model.sampler, tuple(dataset.manifest.shape), shares).bound_to(contexts)
        labels = partial(sampler.labels, seed=asked.seed) if sampler.classes else None
        found = scorer(partial(sampler.chunk, seed=asked.seed), asked.samples, "samples", labels).metrics
        if of_condition:
            found |= of_condition(sampler).metrics
        return {name: estimate.value for name, estimate in (found | of_model).items() if math.isfinite(estimate.value)}

    def held_out(model: EncoderModel) -> dict[str, Estimate]:
        """The metrics of held-out images, but for those that say nothing new with a single importance sample."""
        found = HeldOutModel(model, images, importance_samples, scorer).measured(True, wanted=gate).metrics
        weighted = {name for name, metric in metrics().items() if IMPORTANCE_SAMPLES in metric.depends_on}
        return {name: found[name] for name in found if is_importance_weighted or name not in weighted}

    return evaluate
