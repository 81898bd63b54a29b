"""The cheap part of an evaluation, at intervals during training."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch

from genlib.config.metrics import OF_HELD_OUT
from genlib.config.run import RunConfig
from genlib.data.contexts import contexts_of
from genlib.data.folder import DatasetFolder
from genlib.data.parts import choosing_part
from genlib.evaluation.estimates import Estimate
from genlib.evaluation.extractors.panel import build_panel
from genlib.evaluation.metrics.likelihood import likelihood
from genlib.evaluation.metrics.reconstruction import reconstruction_metrics
from genlib.evaluation.preflight import check_counts, check_metric
from genlib.evaluation.scoring.held_out import held_out_for
from genlib.evaluation.scoring.jury import judge_of
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import Judge, cheap_metrics
from genlib.models.base import EncoderModel, GenerativeModel, LatentVariableModel
from genlib.sampling.draw import estimate_norms
from genlib.sampling.sampler import TrainedSampler
from genlib.training.settle import settle_encoder
from genlib.training.trainer import Evaluate

FEW_OF_EACH = 2  # samples of each context
MOST_IMPORTANCE_SAMPLES = 100  # where the gate's metric is the importance-sampled likelihood


def make_evaluate(config: RunConfig, dataset: DatasetFolder, device: torch.device) -> Evaluate:
    """What the training loop calls on every process. Extractors and references are ready before the first step.

    UserError where weights are absent, or counts too small.
    """
    check_counts(config.evaluation, dataset.manifest)
    asked = config.evaluation.model_copy(update={"samples": config.evaluation.every_samples})
    check_metric(config.model_copy(update={"evaluation": asked}), dataset)
    processes = Processes(device)
    gate = config.registry.metric
    labelled = dataset.number_of_classes() > 0
    features = "random" if asked.features == "classifier" and not labelled else asked.features
    thorough = gate not in {*cheap_metrics(features), *OF_HELD_OUT}
    panel = build_panel(asked, dataset, device, processes, beside=thorough)
    judge = Judge(dataset, panel, asked, processes, thorough)
    shares = dataset.label_shares()
    part = choosing_part(config, dataset)
    images = held_out_for(config, part, asked.samples)
    condition, binarize = images.condition, config.data.binarize == "draw"
    contexts = contexts_of(part, binarize)
    of_condition = judge_of(judge, condition, part, binarize, FEW_OF_EACH) if condition else None

    def evaluate(model: GenerativeModel, stopped: Callable[[], bool]) -> dict[str, float]:
        processes.stopped = stopped
        settle_encoder(model, dataset, config.data)
        of_model = held_out(model) if isinstance(model, EncoderModel) else {}
        estimate_norms(model.sampler, shares)  # last: images are encoded under other statistics
        sampler = TrainedSampler(model.sampler, tuple(dataset.manifest.shape), shares).bound_to(contexts)
        labels = partial(sampler.labels, seed=asked.seed) if sampler.classes else None
        found = judge(partial(sampler.chunk, seed=asked.seed), asked.samples, "samples", labels).metrics
        if of_condition:
            found |= of_condition(sampler).metrics
        return {name: estimate.value for name, estimate in (found | of_model).items() if math.isfinite(estimate.value)}

    def held_out(model: EncoderModel) -> dict[str, Estimate]:
        found: dict[str, Estimate] = {}
        if isinstance(model, LatentVariableModel):
            importance = gate in ("log_likelihood", "bits_per_dim")
            samples = min(asked.likelihood_samples, MOST_IMPORTANCE_SAMPLES) if importance else 1
            found |= likelihood(model, images, samples, asked.seed, processes, asked.batch_size).metrics
            for name in () if importance else ("log_likelihood", "bits_per_dim"):  # of one sample they say nothing new
                found.pop(name, None)
        if not dataset.is_points:
            found |= reconstruction_metrics(model, images, processes, asked.batch_size).metrics
        return found

    return evaluate
