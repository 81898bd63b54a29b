"""From a run folder, or from images that anybody made, to a table of metrics with floors, errors and provenance."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from genlib.config import DISTANCES, EvaluationConfig, RunConfig
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation import exhibits as pictures
from genlib.evaluation.extractors import build_panel
from genlib.evaluation.features import Chunk
from genlib.evaluation.frechet import frechet_distance
from genlib.evaluation.images import open_images
from genlib.evaluation.likelihood import Likelihood, has_likelihood, likelihood
from genlib.evaluation.measures import Estimate, measured, numbers_only
from genlib.evaluation.page import Exhibits, report_page
from genlib.evaluation.preflight import check_counts, check_dimensions, null_bias
from genlib.evaluation.processes import Processes, joined
from genlib.evaluation.reconstruction import reconstructions_of, similarity_provenance
from genlib.evaluation.reference import chunks_of
from genlib.evaluation.samples import Judge, Judged
from genlib.files import read_json, write_bytes, write_json
from genlib.methods.base import LatentVariableMethod
from genlib.provenance import git_state
from genlib.sampling import TrainedSampler, load_sampler
from genlib.training.checkpoint import finished_checkpoints, load_model, reestimate_model
from genlib.training.run_folder import RunFolder

GREY = "grey values as probabilities: a cross-entropy, not comparable with likelihoods of binarized images"
VERSIONED = ("torch", "torchmetrics", "numpy", "scipy", "accelerate")


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


def evaluate(run: RunFolder) -> dict[str, Any]:
    """Judge a run's exported sampler, and its model on the test split; UserError where something is missing.

    Every process of torchrun or accelerate launch must call it. Each returns the same; the first writes evaluation.json
    and report.html.
    """
    config = run.config()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        return evaluate_on(run, config, processes, device)


def evaluate_on(run: RunFolder, config: RunConfig, processes: Processes, device: torch.device) -> dict[str, Any]:
    start = time.monotonic()
    asked = config.evaluation
    folder, checkpoint = judged_part(run, asked)
    sampler = load_sampler(folder, device)
    speaks = has_likelihood(config.method, sampler.image_shape)
    if speaks and checkpoint is None:
        raise UserError(f"{run.path} has no checkpoint yet; train it first: genlib train CONFIG --run-dir DIR.")
    dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
    check_fit(sampler, dataset, asked)
    jury = convene(dataset, asked, processes, device)
    seeds = list(range(asked.seed, asked.seed + asked.seeds))

    def judged(seed: int) -> Judged:
        return jury.judge(partial(sampler.chunk, seed=seed), asked.samples, f"samples, seed {seed}")

    first = judged(seeds[0])
    sets = [first.metrics, *(judged(seed).metrics for seed in seeds[1:])]
    found, method, model = Likelihood(), None, None
    test, test_count = held_out_images(jury)
    if speaks and checkpoint is not None:
        method, model = load_model(run, checkpoint, device)
        assert isinstance(method, LatentVariableMethod)
        reestimate_model(method, model, dataset)
        found = judge_model(jury, method, model, test, test_count)

    origin = {
        "samples": {"count": asked.samples, "seeds": seeds},
        "checkpoint": asked.checkpoint,
        "ema_half_life": sampler.info["ema_half_life"],
        "step": sampler.info["step"],
        "images": sampler.info["images"],
        "weights_sha256": sampler.info["weights_sha256"],
        "likelihood": likelihood_provenance(jury, method, test, test_count) if found.metrics else None,
    }
    evaluation = conclude(jury, sets, found, first.details, origin, start)

    def written() -> dict[str, Any]:
        grid = sampler.images(min(pictures.GRID, asked.samples), asked.seed)
        shown = pictures.of_samples(grid, first.features, jury.judge.train, dataset)
        shown = replace(shown, interpolations=pictures.of_sampler(sampler, asked.seed))
        if isinstance(method, LatentVariableMethod) and model is not None:
            pairs, moved, which = pictures.of_encoder(method, model, test, found, asked.batch_size)
            shown = replace(shown, reconstructions=pairs, traversals=moved, traversed=which)
        champion = read_json(run.champion_file) if run.champion_file.exists() else None
        page = report_page(run.path.name, evaluation, shown, run.metrics(), champion)
        write_bytes(run.report_file, page.encode())
        write_json(run.evaluation_file, evaluation)
        return evaluation

    return processes.first(written)


def evaluate_images(path: Path, config: RunConfig, output: Path | None) -> dict[str, Any]:
    """Judge images on disk against a configuration's data, as a run's samples are judged.

    All of them count, as one set. With `output` evaluation.json and report.html are written there. UserError for images
    that are not of the data's size and channels.
    """
    start = time.monotonic()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        if output is not None:
            processes.first(lambda: make_output(output))
        dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
        channels, height, width = dataset.manifest.shape
        images = open_images(path, (channels, height, width))
        asked = config.evaluation.model_copy(update={"samples": images.count, "every": None})
        check_counts(asked, dataset.manifest, f"images in {path.name}")
        jury = convene(dataset, asked, processes, device)
        judged = jury.judge(images.chunk, images.count, "images")
        origin = {
            "samples": {"count": images.count, "source": path.name, "content_hash": images.content_hash},
            "likelihood": None,
        }
        evaluation = conclude(jury, [judged.metrics], Likelihood(), judged.details, origin, start)

        def written() -> dict[str, Any]:
            if output is not None:
                shown = pictures.of_samples(images.chunk(0), judged.features, jury.judge.train, dataset)
                write_images_report(output, path, evaluation, shown)
            return evaluation

        return processes.first(written)


def write_images_report(output: Path, path: Path, evaluation: dict[str, Any], shown: Exhibits) -> None:
    page = report_page(path.name, evaluation, shown, [], None)
    write_bytes(output / "report.html", page.encode())
    write_json(output / "evaluation.json", evaluation)


def make_output(output: Path) -> None:
    """The folder for a report; UserError if it cannot be made."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output} cannot be made a folder ({error.strerror}); name another.") from error


def judged_part(run: RunFolder, asked: EvaluationConfig) -> tuple[Path, Path | None]:
    """The sampler that is judged, and the checkpoint it came from, if there is one."""
    folder, checkpoints = (
        (run.best / "sampler", run.best) if asked.checkpoint == "best" else (run.sampler, run.checkpoints)
    )
    finished = finished_checkpoints(checkpoints)
    return folder, finished[-1] if finished else None


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


def judge_model(
    jury: Jury, method: LatentVariableMethod, model: torch.nn.Module, test: Chunk, count: int
) -> Likelihood:
    """The likelihood of test images, and the Fréchet distance of their reconstructions to all of them."""
    asked, main = jury.asked, jury.judge.panel.main.name
    found = likelihood(
        method, model, test, count, asked.likelihood_samples, asked.seed, jury.processes, asked.batch_size
    )
    again = reconstructions_of(method, model, test, asked.batch_size)
    seen = jury.judge.see(again, count, "reconstructions")
    distance = jury.processes.first(lambda: frechet_distance(jury.judge.held_out.moments, seen.moments[main]).item())
    return replace(found, metrics=found.metrics | {f"r{DISTANCES[main]}": Estimate(distance, count)})


def conclude(
    jury: Jury,
    sets: list[dict[str, Estimate]],
    found: Likelihood,
    details: dict[str, Any],
    origin: dict[str, Any],
    start: float,
) -> dict[str, Any]:
    """evaluation.json."""
    asked, judge, manifest, extractor = jury.asked, jury.judge, jury.dataset.manifest, jury.judge.panel.main
    metrics, broken = measured(sets, jury.floor.metrics)
    of_model, broken_of_model = measured([found.metrics], {})
    warnings = [*judge.panel.warnings, *warnings_of(jury, (origin["likelihood"] or {}).get("count"))]
    warnings += [f"{name} is {value}, and is left out." for name, value in (broken | broken_of_model).items()]
    provenance = {
        "warnings": warnings,
        "extractor": {"name": extractor.name, "hash": extractor.hash, "features": extractor.num_features},
        "extractor_facts": extractor.facts,
        "extractors_beside": {other.name: other.hash for other in judge.panel.others},
        "features_asked": asked.features,
        "resize": extractor.facts.get("resize", "none"),
        "reference": {"split": "train", "count": judge.train.moments.count},
        "floor": {"split": "test", "count": jury.floor_count},
        "neighbours": {"k": asked.neighbours, "images": judge.neighbour_count, "training": len(judge.train.features)},
        **origin,
        "dataset": jury.dataset.path.name,
        "dataset_hash": manifest.content_hash,
        **git_state(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "device": jury.device.type,
        "processes": jury.processes.count,
        "seconds": round(time.monotonic() - start, 2),
    }
    return {"metrics": metrics | of_model, "details": numbers_only(details | found.details), "provenance": provenance}


def warnings_of(jury: Jury, reconstructions: int | None) -> list[str]:
    """What a reader of the table must know about its counts."""
    asked, counts = jury.asked, jury.dataset.manifest.counts
    dimensions, few = jury.judge.panel.main.num_features, jury.judge.neighbour_count
    warnings = []
    if few < asked.samples:
        warnings.append(
            f"Neighbours, copies and kernel distance are of {few} samples, as many as there are images to compare with."
        )
    if jury.floor_count < asked.samples:
        warnings.append(
            f"The floor is of {jury.floor_count} images, all that the test split has, and the metrics are of "
            f"{asked.samples}: fewer images give a higher Fréchet distance."
        )
    sizes = {"floor's": jury.floor_count, "reference's": counts["train"]}
    if reconstructions is not None:
        sizes["reconstructions'"] = reconstructions
    for what, count in sizes.items():
        if count <= dimensions:
            warnings.append(
                f"The {what} {count} images are too few for {dimensions} features: their number alone adds about "
                f"{null_bias(count, dimensions):.2g} of the features' total variance to a Fréchet distance."
            )
    return warnings


def likelihood_provenance(jury: Jury, method: Any, test: Chunk, count: int) -> dict[str, Any]:
    """What the likelihood's numbers are of."""
    images = test(0)
    pixels = "binary" if ((images == 0) | (images == 255)).all() else GREY
    return {
        "pixels": "a density, dequantized" if method.is_density else pixels,
        "split": "test",
        "count": count,
        "importance_samples": jury.asked.likelihood_samples,
        "seed": jury.asked.seed,
        "unit": "nats per image",
        "dequantization": "uniform, one step of uint8 wide" if method.is_density else "none",
        "ssim_window": similarity_provenance(jury.dataset.manifest.shape[1]),
    }


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
