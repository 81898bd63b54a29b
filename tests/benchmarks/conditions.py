"""Whether samples of what is given are better than what needs no model, differ, and average to the mean."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import torch

from genlib.config.load import load_config
from genlib.data.contexts import context_of
from genlib.data.folder import open_dataset
from genlib.data.making.prepare import prepare
from genlib.data.parts import whole_test_split
from genlib.pixels.scale import to_unit
from genlib.sampling.load import load_sampler
from tests.benchmarks.data import mnist_files
from tests.benchmarks.properties import SEEDS, Row, judged, row_of

PROBLEMS, FAMILIES = ("super_resolution", "inpainting"), ("vae", "gan")
PART_OF_MNIST = [
    *("training.steps=1500", "training.batch_size=64", "training.ema_half_life=10000"),
    "evaluation.likelihood_images=500",
]
MANY, OTHERS, CONTEXTS = 64, 1024, 16  # samples whose average is compared with that of others, of so many contexts

Rows = dict[str, dict[str, float]]  # of evaluation.json's baselines, and "means": distances of averages


def measure_conditions() -> list[Row]:
    """A row for each claim; the figure is the worst seed's, the range that of the seeds. MNIST where its folder is."""
    data: dict[str, list[str]] = {"digits": []}
    if mnist := mnist_files():
        data["mnist"] = [*PART_OF_MNIST, f"data.source={mnist}"]
    wanted = list(product(data, PROBLEMS, FAMILIES, SEEDS))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as workers:

        def found(case: tuple[str, str, str, int]) -> Rows:
            source, problem, family, seed = case
            name = f"{problem}_{family}_{source}"
            return found_in(judged(Path(folder) / f"{name}-{seed}", name, data[source], seed))

        results = dict(zip(wanted, workers.map(found, wanted), strict=True))
    of_case = {case[:3]: [results[*case[:3], seed] for seed in SEEDS] for case in wanted}
    return [row for (source, problem, family), runs in of_case.items() for row in rows(source, problem, family, runs)]


def found_in(run: Path) -> Rows:
    found = json.loads((run / "evaluation.json").read_text())["details"]["baselines"] | {"means": means(run)}
    print(run.name, json.dumps(found), flush=True)
    return found


def means(run: Path) -> dict[str, float]:
    """Root mean square distances to the average of other samples of the same, in grey levels."""
    config = load_config(run / "config.yaml")
    sampler, dataset = load_sampler(run / "sampler"), open_dataset(prepare(config.data, progress=False).path)
    assert sampler.condition is not None
    given = to_unit(context_of(sampler.condition, whole_test_split(dataset), 0, binarize=False))[:CONTEXTS]

    def average(count: int, seed: int) -> torch.Tensor:
        """Of `count` samples of each context."""
        draws = [sampler.chunk(0, seed + draw, CONTEXTS, given=given).double() for draw in range(count)]
        return torch.stack(draws).mean(0)

    mean = average(OTHERS, seed=MANY)
    distance: Callable[[int], float] = lambda count: (average(count, 0) - mean).square().mean().sqrt().item()  # noqa: E731
    return {"one": distance(1), "many": distance(MANY)}


def rows(source: str, problem: str, family: str, runs: list[Rows]) -> list[Row]:
    """Of one configuration's runs."""
    name = f"{problem} {family}, {source}"
    compare = partial(compared, name, runs)
    found = []
    if problem == "super_resolution":
        found += [compare("condition_psnr", "bicubic"), compare("fd_pairs", "bicubic")]
    else:
        differences = [run["samples"]["condition_error"] for run in runs]
        found.append(row_of(f"{name}: mean difference of known pixels", differences, "0", most=True))
        others = ("mean fill", "nearest training image")
        found += [compare(metric, other) for metric in ("condition_psnr", "fd_pairs") for other in others]
    average = next(key for key in runs[0] if key.startswith("average"))
    gains = [run[average]["condition_psnr"] - run["samples"]["condition_psnr"] for run in runs]
    found.append(row_of(f"{name}: PSNR of the {average} - that of samples", gains, "above 0"))
    other = "nearest training image" if problem == "inpainting" else "bicubic"
    gains = [run[average]["condition_psnr"] - run[other]["condition_psnr"] for run in runs]
    found.append(row_of(f"{name}: PSNR of the {average} - that of {other}", gains, "above 0"))
    diversity = [run["samples"]["condition_diversity"] for run in runs]
    marginal = [run["samples of any test images"]["condition_diversity"] for run in runs]
    shares = [ours / all_of_them for ours, all_of_them in zip(diversity, marginal, strict=True)]
    found.append(row_of(f"{name}: deviation among samples of the same, grey levels", diversity, "above 0"))
    found.append(row_of(f"{name}: the same / that among samples of any", shares, "below 1", most=True))
    nearer = [run["means"]["many"] / run["means"]["one"] for run in runs]
    what = f"{name}: distance to the mean of {OTHERS} samples, average of {MANY} others / single ones"
    return [*found, row_of(what, nearer, f"near {MANY**-0.5}", most=True)]


def compared(name: str, runs: list[Rows], metric: str, other: str) -> Row:
    """A difference in decibels, or a ratio of distances."""
    ours, theirs = ([run[key][metric] for run in runs] for key in ("samples", other))
    if metric == "condition_psnr":
        gains = [mine - its for mine, its in zip(ours, theirs, strict=True)]
        return row_of(f"{name}: PSNR of samples - that of {other}", gains, "above 0")
    ratios = [mine / its for mine, its in zip(ours, theirs, strict=True)]
    return row_of(f"{name}: fd_pairs of samples / that of {other}", ratios, "below 1", most=True)
