"""From a run folder to its evaluation.json: metrics, the real-data floor beside them, and where they come from."""

from __future__ import annotations

import math
import platform
import time
from importlib.metadata import version
from typing import Any

import torch

from genlib.config import EvaluationConfig, RunConfig
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation.extractors import build_extractor, chunks_of
from genlib.evaluation.likelihood import Estimate, held_out_metrics, speaks_of_held_out
from genlib.evaluation.preflight import check_counts
from genlib.evaluation.processes import Processes, joined
from genlib.evaluation.samples import SampleMetrics, choose
from genlib.files import write_json
from genlib.sampling import TrainedSampler, load_sampler
from genlib.training.checkpoint import load_model
from genlib.training.run_folder import RunFolder

VERSIONED = ("torch", "torchmetrics", "numpy", "accelerate")


def evaluate(run: RunFolder) -> dict[str, Any]:
    """Judge a run's exported sampler, and its model on the test split; UserError where something is missing.

    Every process of torchrun or accelerate launch must call it. Each returns the same; the first writes
    evaluation.json.
    """
    config = run.config()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        return evaluate_on(run, config, processes, device)


def evaluate_on(run: RunFolder, config: RunConfig, processes: Processes, device: torch.device) -> dict[str, Any]:
    start = time.monotonic()
    asked = config.evaluation
    sampler = load_sampler(run.sampler, device)
    dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
    check_fit(sampler, dataset, asked)
    extractor, warnings = build_extractor(asked, dataset, device, processes)

    # Test images in the place of samples are what a perfect model would give.
    floor_count = min(asked.samples, dataset.manifest.counts["test"])
    neighbour_count = min(floor_count, dataset.manifest.counts["train"])
    judge = SampleMetrics(dataset, extractor, asked.neighbours, neighbour_count, asked.batch_size, processes)
    metrics = judge(lambda index: sampler.chunk(index, asked.seed), asked.samples, "samples")
    floor = judge(chunks_of(dataset, "test", choose(dataset, "test", floor_count)), floor_count, "test images")
    test_count = dataset.manifest.counts["test"]
    estimates: dict[str, Estimate] = {}
    if speaks_of_held_out(config.method, sampler.image_shape):
        method, model = load_model(run, device)
        estimates = held_out_metrics(method, model, chunks_of(dataset, "test"), test_count, asked.seed, processes)

    if floor_count < asked.samples:
        warnings.append(
            f"The floor is of {floor_count} images, all that the test split has, and the metrics are of "
            f"{asked.samples}: fewer images give a higher Fréchet distance."
        )
    metrics, dropped = finite(metrics | {name: estimate.value for name, estimate in estimates.items()})
    floor, _ = finite(floor)
    warnings += [f"{name} is {value}, and is left out." for name, value in dropped.items()]
    provenance = {
        "extractor": {"name": extractor.name, "hash": extractor.hash, "features": extractor.num_features},
        "extractor_facts": extractor.facts,
        "features_asked": asked.features,
        "warnings": warnings,
        "samples": {"count": asked.samples, "seed": asked.seed},
        "reference": {"split": "train", "count": judge.reference.count},
        "floor": {"split": "test", "count": floor_count},
        "neighbours": {"k": asked.neighbours, "samples": neighbour_count, "reals": neighbour_count, "split": "train"},
        "likelihood": likelihood_provenance(estimates, test_count, asked.seed),
        "ema_half_life": sampler.info["ema_half_life"],
        "step": sampler.info["step"],
        "images": sampler.info["images"],
        "weights_sha256": sampler.info["weights_sha256"],
        "dataset_hash": dataset.manifest.content_hash,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "device": device.type,
        "processes": processes.count,
        "seconds": round(time.monotonic() - start, 2),
    }
    evaluation = {"metrics": metrics, "floor": floor, "provenance": provenance}

    def written() -> dict[str, Any]:
        write_json(run.evaluation_file, evaluation)
        return evaluation

    return processes.first(written)


def check_fit(sampler: TrainedSampler, dataset: DatasetFolder, asked: EvaluationConfig) -> None:
    """UserError unless sampler, dataset and counts go together."""
    manifest = dataset.manifest
    if sampler.info["dataset_hash"] != manifest.content_hash:
        raise UserError(
            f"the sampler was trained on the dataset {sampler.info['dataset_hash'][:12]}, but {dataset.path} is "
            f"{manifest.content_hash[:12]}; restore the data, or train anew."
        )
    if tuple(sampler.image_shape) != tuple(manifest.shape):
        raise UserError(
            f"the sampler makes images of shape {tuple(sampler.image_shape)}, but the dataset's are "
            f"{tuple(manifest.shape)}; evaluate it on its own dataset."
        )
    check_counts(asked, manifest)


def finite(metrics: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics that are numbers, and those that are NaN or infinite, which no gate may see."""
    kept = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return kept, {name: value for name, value in metrics.items() if name not in kept}


def likelihood_provenance(estimates: dict[str, Estimate], count: int, seed: int) -> dict[str, Any] | None:
    """Split, count and standard errors, in nats per image; None for a method without a likelihood."""
    if not estimates:
        return None
    errors, _ = finite({name: estimate.standard_error for name, estimate in estimates.items()})
    return {"split": "test", "count": count, "seed": seed, "unit": "nats per image", "standard_error": errors}
