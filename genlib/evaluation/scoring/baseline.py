"""The baseline: a Gaussian mixture of train images in the place of the model, fitted and scored once, and kept beside
the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from genlib.choices.discovery import choices_of_kind
from genlib.config.extractors import ExtractorConfig
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.estimates import Estimate, numbers_only
from genlib.evaluation.scoring.floor import file_of, key_of
from genlib.evaluation.scoring.reference import shuffled_rows
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.mixture import RECIPE, NoFit, fit_mixture, mixture_sampler
from genlib.pixels.scale import to_unit
from genlib.runtime.capacity import free_memory, refuse_beyond_memory
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import read_json, sha256_of_file, sha256_of_json, whole_folder, write_json
from genlib.storage.tensors import load_weights, write_tensors

MOST_IMAGES = 20_000  # of the train split that are looked at
MOST_NUMBERS = 2**27  # of these images, 512 MiB in float32: there are fewer of large ones
HELD_OUT = 0.1  # share of them that the number of components is chosen by
SCORES = 2  # another number where samples of the same mixture get other scores
WEIGHTS, FACTS = "weights.safetensors", "mixture.json"
NEEDED = ("components", "dimensions", "weights_sha256")  # facts without which the weights cannot be read


@dataclass(frozen=True)
class Baseline:
    """A mixture, its facts, and the metrics of its samples; all empty where there is none."""

    sampler: TrainedSampler | None = None
    facts: dict[str, Any] | None = None  # JSON, for the provenance
    sets: Sequence[dict[str, Estimate]] = ()  # one for each sampling seed
    warning: str | None = None  # why there is none though there should be


def baseline_of(scorer: SampleScorer, seeds: Sequence[int], device: torch.device) -> Baseline:
    """The baseline, scored as a model's samples are: as many, with the same seeds.

    Images are drawn with noise for what lies outside of the mixture's axes, or without: in the way that has the lower
    Fréchet distance with the first seed.

    Every process must ask for it. Its samples have no labels, so that metrics of labels are not among its own.
    UserError where a kept file is damaged.
    """
    folder, reason = scorer.processes.first(lambda: mixture_folder(scorer.dataset))
    if folder is None:
        return Baseline(warning=f"There is no baseline to compare with: {reason}.")
    samplers, facts = load_mixture(folder, tuple(scorer.dataset.manifest.shape), device)
    file = scores_file(scorer, seeds, facts["weights_sha256"])
    kept = scorer.processes.first(lambda: read_json(file) if file.exists() else None)
    if kept is not None:
        try:
            sets = [{name: Estimate(**estimate) for name, estimate in of_seed.items()} for of_seed in kept["sets"]]
            chosen = samplers[kept["residual_noise"]]
        except (AttributeError, TypeError, KeyError) as error:
            raise UserError(f"{file} is damaged ({error}); delete it to score the baseline again.") from error
        return Baseline(chosen, facts | {"residual_noise": kept["residual_noise"]}, sets)
    first = {noise: scored(scorer, sampler, seeds[0]) for noise, sampler in samplers.items()}
    noise = min(first, key=lambda noise: distance_of(scorer, first[noise]))
    sets = [first[noise], *(scored(scorer, samplers[noise], seed) for seed in seeds[1:])]
    content = [{name: numbers_only(asdict(estimate)) for name, estimate in of_seed.items()} for of_seed in sets]
    scorer.processes.first(lambda: write_json(file, {"residual_noise": noise, "sets": content}))
    return Baseline(samplers[noise], facts | {"residual_noise": noise}, sets)


def distance_of(scorer: SampleScorer, scores: dict[str, Estimate]) -> float:
    """The Fréchet distance by the main extractor; infinite where it was not finite."""
    name = choices_of_kind(ExtractorConfig)[scorer.extractors.main.name].frechet
    return scores[name].value if name in scores else math.inf


def scored(scorer: SampleScorer, sampler: TrainedSampler, seed: int) -> dict[str, Estimate]:
    """The metrics of a seed's samples that are finite."""
    found = scorer(partial(sampler.chunk, seed=seed), scorer.asked.samples, f"the baseline's samples, seed {seed}")
    return {name: estimate for name, estimate in found.metrics.items() if math.isfinite(estimate.value)}


def scores_file(scorer: SampleScorer, seeds: Sequence[int], mixture: str) -> Path:
    """The file of the scores of a mixture, whose weights have this hash."""
    key = key_of(scorer, scorer.asked.samples) | {"scores": SCORES, "mixture": mixture, "seeds": list(seeds)}
    return file_of(scorer, "baseline", key)


def mixture_folder(dataset: DatasetFolder) -> tuple[Path | None, str]:
    """The folder of the dataset's mixture, fitted first if it is not there yet; or None, and a clause that says why.

    Its name is the hash of the data and of the recipe, so it is never stale. Whoever comes second waits.
    """
    key = RECIPE | {"images": [MOST_IMAGES, MOST_NUMBERS, HELD_OUT], "dataset": dataset.manifest.content_hash}
    folder = dataset.path / f"mixture-{sha256_of_json(key)[:12]}"
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.exists():
            return folder, ""
        try:
            images, held_out = examples(dataset)
            print(f"Fitting a Gaussian mixture to {dataset.path.name}, the baseline, once.", flush=True)
            fit = fit_mixture(images, held_out)
        except (NoFit, UserError) as error:
            return None, str(error).rstrip(".")
        with whole_folder(folder) as partial_folder:
            sha256 = write_tensors(partial_folder / WEIGHTS, fit.sampler.state_dict())
            write_json(partial_folder / FACTS, {"name": "Gaussian mixture", **fit.facts, "weights_sha256": sha256})
        print(f"Baseline: {fit.facts['components']} components, {fit.facts['seconds']} s.", flush=True)
    return folder, ""


def examples(dataset: DatasetFolder) -> tuple[np.ndarray, np.ndarray]:
    """Train images to fit to, and others to choose by, in [-1, 1] (N, C, H, W), or points (N, 2); float32.

    UserError where memory does not hold them.
    """
    size = int(np.prod(dataset.manifest.shape))
    rows = shuffled_rows(dataset, "train")[: min(MOST_IMAGES, MOST_NUMBERS // size)].numpy()
    need = {f"{len(rows):,} images for a Gaussian mixture": 3 * 4 * size * len(rows)}  # and centred, and a copy
    refuse_beyond_memory(need, free_memory(), "end other programs")
    images = to_unit(torch.from_numpy(dataset.images("train")[rows])).numpy()
    few = math.ceil(HELD_OUT * len(rows))
    return images[few:], images[:few]


def load_mixture(
    folder: Path, shape: tuple[int, ...], device: torch.device
) -> tuple[dict[bool, TrainedSampler], dict[str, Any]]:
    """The samplers of `mixture_folder`, by whether they draw residual noise, which those of points do not; and its
    facts. UserError if they are not those that were written.
    """
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or (missing := [key for key in NEEDED if key not in facts]):
        what = "it holds no object" if not isinstance(facts, dict) else f"it has no {missing[0]}"
        raise UserError(f"{folder / FACTS} is damaged ({what}); delete {folder} to fit the baseline again.")
    weights = folder / WEIGHTS
    if sha256_of_file(weights) != facts["weights_sha256"]:
        raise UserError(f"{weights} has changed since it was fitted; delete {folder} to fit the baseline again.")
    samplers = {}
    for noise in (False, True) if len(shape) == 3 else (False,):
        module = mixture_sampler(facts["components"], facts["dimensions"], shape, noise)
        load_weights(module, weights)
        samplers[noise] = TrainedSampler(module.to(device), shape)
    return samplers, facts
