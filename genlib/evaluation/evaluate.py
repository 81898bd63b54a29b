"""From a run folder, or from images that anybody made, to a table of metrics with floors, errors and provenance."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genlib.config import EvaluationConfig, RunConfig
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation import exhibits as pictures
from genlib.evaluation.images import open_images
from genlib.evaluation.jury import convene, held_out_images, judge_model
from genlib.evaluation.likelihood import Likelihood, has_likelihood
from genlib.evaluation.page import Exhibits, report_page
from genlib.evaluation.preflight import check_counts
from genlib.evaluation.processes import Processes, joined
from genlib.evaluation.record import conclude, likelihood_provenance, notes_of
from genlib.evaluation.samples import Judged
from genlib.files import read_json, write_bytes, write_json
from genlib.methods.base import LatentVariableMethod
from genlib.sampling import TrainedSampler, load_sampler
from genlib.training.checkpoint import finished_checkpoints, load_model, reestimate_model
from genlib.training.run_folder import RunFolder


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
    found = Likelihood()
    encoder: tuple[LatentVariableMethod, nn.Module] | None = None
    test, test_count = held_out_images(jury)
    if speaks and checkpoint is not None:
        method, model = load_model(run, checkpoint, device)
        assert isinstance(method, LatentVariableMethod)
        reestimate_model(method, model, dataset)
        found, encoder = judge_model(jury, method, model, test, test_count), (method, model)

    origin = {
        "samples": {"count": asked.samples, "seeds": seeds},
        "checkpoint": asked.checkpoint,
        "ema_half_life": sampler.info["ema_half_life"],
        "step": sampler.info["step"],
        "images": sampler.info["images"],
        "weights_sha256": sampler.info["weights_sha256"],
        "likelihood": likelihood_provenance(jury, encoder[0], test, test_count) if encoder else None,
    }
    evaluation = conclude(jury, sets, found, first.details, origin, start, notes_of(run, asked))

    def written() -> dict[str, Any]:
        grid = sampler.images(min(pictures.GRID, asked.samples), asked.seed)
        shown = pictures.of_samples(grid, first.features, jury.judge.train, dataset)
        shown = replace(shown, interpolations=pictures.of_sampler(sampler, asked.seed))
        if encoder:
            pairs, moved, which = pictures.of_encoder(*encoder, test, found, asked.batch_size)
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
