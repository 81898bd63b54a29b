"""Speed and memory of the metrics, and whether they move as theory says when samples are spoilt in known ways."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.image.fid import _compute_fid

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.config.training import EvaluationConfig
from genlib.data.config import DataConfig
from genlib.data.folder import DatasetFolder
from genlib.data.making.prepare import prepare
from genlib.evaluation.features import Chunk, Extractor, chunk_features
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.held_out import HeldOut
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import chunks_of, shuffled_rows
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.frechet import Moments, frechet_distance
from genlib.evaluation.statistics.kernel import kernel_distance
from genlib.evaluation.statistics.likelihood import likelihood
from genlib.evaluation.statistics.neighbours import neighbour_metrics
from genlib.layers.base import DataSpec
from genlib.losses.likelihoods.bernoulli.config import BernoulliConfig
from genlib.methods.vae.config import VAEConfig
from genlib.models.base import LatentVariableModel
from genlib.networks.mlp.config import MLPConfig
from genlib.sampling.draw import CHUNK
from tests.benchmarks.commands import own_home, row

CPU = torch.device("cpu")
D = 2048


def measure_evaluation() -> list[dict[str, Any]]:
    return measure_traces() + [alone("neighbours"), alone("likelihood")]


def measure_traces(rounds: int = 3) -> list[dict[str, Any]]:
    """The Fréchet distance from two covariances of 2,048 dimensions, all ways in turn."""
    rows = []
    for name, counts in (("full rank", (6000, 5000)), ("rank 1,000", (1001, 900))):
        first, second = (covariance(count, seed) for seed, count in enumerate(counts))
        ways: dict[str, Callable[[], float]] = {
            "ours": partial(ours, first, second),
            "torchmetrics": partial(by_torchmetrics, first, second),
            "scipy": partial(by_sqrtm, first, second),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(rounds):
            for way, distance in ways.items():
                if way == "scipy" and turn:
                    continue  # minutes
                began = time.perf_counter()
                distance()
                seconds[way].append(time.perf_counter() - began)
        mine = statistics.median(seconds["ours"])
        for way, wanted in (("torchmetrics", ">= 2"), ("scipy", ">= 5")):
            ratios = [other / mine for other in seconds[way]]
            what = f"{way}'s Fréchet distance / ours, d = 2,048, {name}, time"
            rows.append(row(what, statistics.median(ratios), wanted, ratios))
    return rows


def covariance(count: int, seed: int) -> Moments:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, D, generator=generator, dtype=torch.float64)
    features *= torch.logspace(0, -3, D, dtype=torch.float64)
    return Moments(features.mean(0), features.T.cov(), count)


def ours(first: Moments, second: Moments) -> float:
    fresh = Moments(first.mean, first.covariance, first.count)  # nothing is remembered from the turn before
    return frechet_distance(fresh, second).item()


def by_torchmetrics(first: Moments, second: Moments) -> float:
    return float(_compute_fid(first.mean, first.covariance, second.mean, second.covariance))


def by_sqrtm(first: Moments, second: Moments) -> float:
    """As the published implementations have it."""
    root = sqrtm((first.covariance @ second.covariance).numpy())
    traces = first.covariance.trace() + second.covariance.trace() - 2 * np.trace(root).real
    return float((first.mean - second.mean).square().sum() + traces)


def alone(what: str) -> dict[str, Any]:
    """One of the measurements below in a process of its own, for its peak memory."""
    command = [sys.executable, "-m", "tests.benchmarks.evaluation", what]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout.splitlines()[-1])


def measure_neighbours() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    reals, fakes = (torch.randn(10_000, 64, generator=generator) for _ in range(2))
    began = time.perf_counter()
    neighbour_metrics(reals, fakes, 5)
    seconds = time.perf_counter() - began
    memory = peak_gigabytes()
    kernel_distance(reals, fakes)
    what = f"precision to coverage, 10,000 x 10,000, d = 64, seconds (peak memory {memory:.2f} GB, wanted < 1)"
    return row(what, seconds, "<= 10")


def measure_likelihood() -> dict[str, Any]:
    network = MLPConfig(hidden_sizes=[200, 200])
    config = VAEConfig(network=network, latent_size=50, likelihood=BernoulliConfig())
    model = config.build(DataSpec((1, 28, 28))).model.eval()
    assert isinstance(model, LatentVariableModel)
    images = torch.randint(0, 256, (10_000, 1, 28, 28), dtype=torch.uint8)
    test = HeldOut(lambda index: images[256 * index : 256 * (index + 1)], lambda index: None, len(images))
    began = time.perf_counter()
    likelihood(model, test, 100, 0, Processes(CPU))
    what = "importance-sampled likelihood, 784-200-200-50, 10,000 images, 100 samples, seconds"
    return row(what, time.perf_counter() - began, "<= 180")


def peak_gigabytes() -> float:
    """Of this process; its children, and the process that started it, do not count."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e6


Spoil = Callable[[DatasetFolder], tuple[Chunk, int]]  # images in random order, and their number


def held_out(dataset: DatasetFolder) -> tuple[Chunk, int]:
    rows = shuffled_rows(dataset, "test")
    return chunks_of(dataset, "test", rows), len(rows)


def half_of_the_classes(dataset: DatasetFolder) -> tuple[Chunk, int]:
    """The held-out images of the lower half of the labels."""
    rows = shuffled_rows(dataset, "test")
    labels = torch.from_numpy(dataset.labels("test"))[rows]
    rows = rows[labels <= labels.max() // 2]
    return chunks_of(dataset, "test", rows), len(rows)


def noisy(share: float) -> Spoil:
    """Held-out images with Gaussian noise, its standard deviation a share of the range."""

    def spoil(dataset: DatasetFolder) -> tuple[Chunk, int]:
        images = held_out_images(dataset)
        images += share * 255 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
        return chunks_of_images(images.round().clamp(0, 255).byte()), len(images)

    return spoil


def blurred(dataset: DatasetFolder) -> tuple[Chunk, int]:
    """Held-out images under the binomial filter (1, 2, 1) / 4 in both directions."""
    images = held_out_images(dataset)
    weights = torch.tensor([1.0, 2.0, 1.0]) / 4
    filtered = F.conv2d(
        F.pad(images.flatten(0, 1)[:, None], (1, 1, 1, 1), "replicate"), weights.outer(weights)[None, None]
    )
    return chunks_of_images(filtered.view_as(images).round().byte()), len(images)


def copies(dataset: DatasetFolder) -> tuple[Chunk, int]:
    count = dataset.manifest.counts["test"]
    return chunks_of(dataset, "train", shuffled_rows(dataset, "train")[:count]), count


def held_out_images(dataset: DatasetFolder) -> Tensor:
    """float32 (N, C, H, W), from 0 to 255."""
    return torch.from_numpy(dataset.images("test")[shuffled_rows(dataset, "test").numpy()]).float()


def chunks_of_images(images: Tensor) -> Chunk:
    shuffled = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    return lambda index: shuffled[256 * index : 256 * (index + 1)]


SETS: dict[str, Spoil] = {
    "held-out images": held_out,
    "half of the classes": half_of_the_classes,
    "noise of 0.1": noisy(0.1),
    "noise of 0.3": noisy(0.3),
    "blur": blurred,
    "copies of training images": copies,
}
MADE_OF_HELD_OUT = ("half of the classes", "noise of 0.1", "noise of 0.3", "blur")
# Which way each must move from the held-out images.
EXPECTED: dict[str, dict[str, str]] = {
    "half of the classes": {
        "fd_classifier": ">",
        "kd_classifier": ">",
        "recall": "<",
        "coverage": "<",
        "class_kl": ">",
    },
    "noise of 0.1": {"fd_classifier": ">", "kd_classifier": ">", "precision": "<", "density": "<", "fd_random": ">"},
    "noise of 0.3": {"fd_classifier": ">", "kd_classifier": ">", "precision": "<", "coverage": "<", "fd_random": ">"},
    "blur": {"fd_classifier": ">", "kd_classifier": ">", "fd_random": ">"},
    "copies of training images": {"fd_classifier": "<", "authpct": "<", "nearer_to_train": ">", "coverage": ">"},
}
FEATURES = ("classifier", "imagenet", "random")
OF_TRAIN, OF_EACH = 10_000, 5000  # images of the train split and of each set whose Fréchet distances are compared
COLUMNS = (
    *("fd_classifier", "fd_classifier_infinity", "fd_random", "kd_classifier", "precision", "recall", "density"),
    *("coverage", "authpct", "nearer_to_train", "class_kl", "modes"),
)


def directions(data: DataConfig) -> tuple[list[str], list[str]]:
    """A Markdown table of the metrics of every set, and what did not move as it must."""
    dataset = prepare(data)
    asked = EvaluationConfig(samples=dataset.manifest.counts["test"])
    processes = Processes(CPU)
    scorer = SampleScorer(dataset, build_extractors(asked, dataset, CPU, processes), asked, processes)
    values = {}
    for name, spoil in SETS.items():
        chunk, count = spoil(dataset)
        scores = scorer(chunk, count, name, held_out=spoil is held_out)
        values[name] = {metric: estimate.value for metric, estimate in scores.metrics.items()}
        if name in MADE_OF_HELD_OUT:
            values[name].pop("nearer_to_train")  # they are nearest to themselves
    base, wrong, lines = values["held-out images"], [], []
    lines += [f"| {dataset.path.name} | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * len(COLUMNS)]
    for name, found in values.items():
        cells = []
        for metric in COLUMNS:
            way = EXPECTED.get(name, {}).get(metric, "")
            moved = not way or (found[metric] > base[metric]) == (way == ">")
            if not moved:
                wrong.append(f"{dataset.path.name}, {name}: {metric} is {found[metric]:.4g}, from {base[metric]:.4g}")
            arrow = {"": "", ">": " ↑", "<": " ↓"}[way] if moved else " ✗"
            cells.append(f"{found[metric]:.4g}{arrow}" if metric in found else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""], wrong


def measure_directions() -> list[str]:
    """The tables on digits, and on MNIST where `MNIST` names its folder; an arrow marks a move that theory demands."""
    lines: list[str] = []
    wrong: list[str] = []
    with own_home() as home:
        os.environ["GENLIB_HOME"] = str(home)
        sources = [DataConfig(source="digits", image_size=8, channels=1)]
        if os.environ.get("MNIST"):
            sources.append(DataConfig(source=os.environ["MNIST"], image_size=28, channels=1))
        for data in sources:
            table, failures = directions(data)
            lines, wrong = lines + table, wrong + failures
    return [*lines, *(f"✗ {failure}" for failure in wrong), "" if wrong else "Every marked move is the demanded one."]


def effects(data: DataConfig) -> list[str]:
    """A Markdown table of the Fréchet distance of every set, over that of the held-out images, by extractor."""
    dataset, processes = prepare(data), Processes(CPU)
    columns: dict[str, dict[str, float]] = {}
    for name in FEATURES:
        asked = EvaluationConfig.model_validate({"samples": OF_EACH, "features": name})
        extractor = build_extractors(asked, dataset, CPU, processes, beside=False).main
        train = chunks_of(dataset, "train", shuffled_rows(dataset, "train"))
        reference = moments_of(extractor, train, OF_TRAIN)
        columns[name] = {}
        for what, spoil in SETS.items():
            chunk, count = spoil(dataset)
            spoilt = moments_of(extractor, chunk, min(count, OF_EACH))
            columns[name][what] = frechet_distance(reference, spoilt).item()
    floors = {name: found["held-out images"] for name, found in columns.items()}
    heads = [f"{choices_of_kind(ExtractorConfig)[name].frechet} ({floors[name]:.3g})" for name in FEATURES]
    lines = [f"| {dataset.path.name} | {' | '.join(heads)} |", "| --- |" + " --- |" * len(FEATURES)]
    for what in list(SETS)[1:]:
        lines.append(f"| {what} | {' | '.join(f'{columns[name][what] / floors[name]:.3g}' for name in FEATURES)} |")
    return [*lines, ""]


def moments_of(extractor: Extractor, chunk: Chunk, count: int) -> Moments:
    """Mean and covariance of the features of the first `count` images."""
    parts = [chunk_features(extractor, chunk, index, count, CHUNK) for index in range(math.ceil(count / CHUNK))]
    features = torch.cat(parts).double()
    return Moments(features.mean(0), features.T.cov(), count)


def measure_effects() -> list[str]:
    """The tables on MNIST and CIFAR-10, where these variables name their folders."""
    lines = []
    with own_home() as home:
        os.environ["GENLIB_HOME"] = str(home)
        for name, size, channels in (("MNIST", 28, 1), ("CIFAR10", 32, 3)):
            if os.environ.get(name):
                data = {"source": os.environ[name], "image_size": size, "channels": channels}
                lines += effects(DataConfig.model_validate(data))
    return lines


if __name__ == "__main__":
    if sys.argv[1] == "directions":
        print("\n".join(measure_directions()))
    elif sys.argv[1] == "effects":
        print("\n".join(measure_effects()))
    elif sys.argv[1] == "traces":
        print(json.dumps(measure_traces(), indent=2))
    else:
        print(json.dumps({"neighbours": measure_neighbours, "likelihood": measure_likelihood}[sys.argv[1]]()))
