"""The cheap part of an evaluation, at intervals during training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from genlib.config import LIKELIHOODS, RunConfig
from genlib.data.folder import DatasetFolder
from genlib.evaluation.classifier import number_of_classes
from genlib.evaluation.extractors import build_panel
from genlib.evaluation.likelihood import likelihood
from genlib.evaluation.measures import Estimate
from genlib.evaluation.preflight import check_counts, check_metric
from genlib.evaluation.processes import Processes
from genlib.evaluation.reference import chunks_of
from genlib.evaluation.samples import Judge, cheap_metrics
from genlib.methods.base import LatentVariableMethod, Method
from genlib.sampling import TrainedSampler, estimate_norms
from genlib.training.checkpoint import reestimate_model
from genlib.training.trainer import Evaluate

MOST_IMPORTANCE_SAMPLES = 100  # where the gate's metric is the importance-sampled likelihood


def make_evaluate(config: RunConfig, dataset: DatasetFolder, device: torch.device) -> Evaluate:
    """What the training loop calls on every process. Extractors and references are ready before the first step.

    UserError where weights are absent, or counts too small.
    """
    check_counts(config.evaluation, dataset.manifest)
    asked = config.evaluation.model_copy(update={"samples": config.evaluation.every_samples})
    check_metric(config.model_copy(update={"evaluation": asked}), dataset.manifest)
    processes = Processes(device)
    gate = config.registry.metric
    labelled = number_of_classes(dataset) > 0
    features = "random" if asked.features == "classifier" and not labelled else asked.features
    thorough = gate not in {*cheap_metrics(features), *LIKELIHOODS}
    panel = build_panel(asked, dataset, device, processes, beside=thorough)
    judge = Judge(dataset, panel, asked, processes, thorough)
    channels, height, width = dataset.manifest.shape

    def evaluate(method: Method, model: nn.Module, stopped: Callable[[], bool]) -> dict[str, float]:
        processes.stopped = stopped
        module = method.sampler_of(model)
        estimate_norms(module)
        sampler = TrainedSampler(module, (channels, height, width))
        found = judge(lambda index: sampler.chunk(index, asked.seed), asked.samples, "samples").metrics
        if isinstance(method, LatentVariableMethod):
            found = found | held_out(method, model)
        return {name: estimate.value for name, estimate in found.items() if math.isfinite(estimate.value)}

    def held_out(method: LatentVariableMethod, model: nn.Module) -> dict[str, Estimate]:
        reestimate_model(method, model, dataset)
        importance = gate in ("log_likelihood", "bits_per_dim")
        samples = min(asked.likelihood_samples, MOST_IMPORTANCE_SAMPLES) if importance else 1
        count = min(asked.samples, dataset.manifest.counts["test"])
        test = chunks_of(dataset, "test", judge.held_out.rows)
        metrics = likelihood(method, model, test, count, samples, asked.seed, processes, asked.batch_size).metrics
        of_importance = () if importance else ("log_likelihood", "bits_per_dim")  # of one sample they say nothing new
        return {name: estimate for name, estimate in metrics.items() if name not in of_importance}

    return evaluate
