"""The evaluation of a run folder, of a sampler or of images: metrics with floors, errors and provenance."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from genlib.config.run import RunConfig
from genlib.config.training import EvaluationConfig
from genlib.data.contexts import contexts_of
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.making.prepare import prepare
from genlib.data.parts import validation_facts, whole_test_split
from genlib.errors import UserError
from genlib.evaluation.estimates import Findings
from genlib.evaluation.images import open_images
from genlib.evaluation.preflight import check_counts
from genlib.evaluation.report import drawing
from genlib.evaluation.report.figures import ReportFigures
from genlib.evaluation.report.page import report_page
from genlib.evaluation.report.record import conclude, model_provenance, notes_of
from genlib.evaluation.scoring.evaluator import make_evaluator, seeds_of
from genlib.evaluation.scoring.held_out import held_out_for
from genlib.evaluation.scoring.processes import Processes, joined
from genlib.models.base import EncoderModel
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.sampling.sampler import TrainedSampler
from genlib.storage.files import read_json, write_bytes, write_json
from genlib.training.settle import settle_encoder
from genlib.training.trained_model import load_model


def evaluate(run: RunFolder, with_baseline: bool = True) -> dict[str, Any]:
    """Evaluate a run's exported sampler, and its model on the test split; UserError where something is missing.

    Every process of torchrun or accelerate launch must call it. Each returns the same; the first writes evaluation.json
    and report.html. Without the baseline, no Gaussian mixture is fitted.
    """
    config = run.config()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        return evaluate_on(run, config, processes, device, with_baseline)


def evaluate_on(
    run: RunFolder, config: RunConfig, processes: Processes, device: torch.device, with_baseline: bool
) -> dict[str, Any]:
    start = time.monotonic()
    asked = config.evaluation
    folder, checkpoint = run.exported(asked.checkpoint)
    sampler = load_sampler(folder, device)
    if config.method.has_encoder and checkpoint is None:
        raise UserError(f"{run.path} has no checkpoint yet; train it first: genlib train CONFIG --run-dir DIR.")
    dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
    check_fit(sampler, dataset, asked)
    binarize = config.data.binarize == "draw"
    sampler = sampler.bound_to(contexts_of(whole_test_split(dataset), binarize))
    test = held_out_for(config, whole_test_split(dataset), asked.likelihood_images)
    evaluator = make_evaluator(dataset, asked, processes, device, with_baseline and sampler.condition is None)
    first, sets = evaluator.samples(sampler)
    found, of_model = evaluator.conditions(sampler, binarize)
    model: EncoderModel | None = None
    if config.method.has_encoder and checkpoint is not None:
        model = encoder_of(run, config, checkpoint, dataset, device)
        found, of_model = found | evaluator.model(model, test), of_model | model_provenance(evaluator, model, test)

    best = run.result().get("best") if asked.checkpoint == "best" else None
    chosen = {"checkpoint": asked.checkpoint, "best": best, "validation": validation_facts(config, dataset)}
    origin = origin_of(sampler, asked, **chosen, **of_model)
    evaluation = conclude(evaluator, sets, found, first.details, origin, start, notes_of(run, asked))

    def written() -> dict[str, Any]:
        drawn = sampler.images(min(drawing.most(dataset), asked.samples), asked.seed)
        shown = drawing.of_samples(drawn, first.features, evaluator.scorer.train, dataset)
        shown = drawing.of_baseline(shown, evaluator.baseline.sampler, asked.seed)
        if not dataset.is_points:
            shown = drawing.of_sampler(shown, sampler, asked.seed)
            shown = drawing.of_contexts(shown, sampler, asked.seed, dataset, binarize)
            if model:
                shown = drawing.of_encoder(shown, model, test, found.details.get("kl_per_dimension"), asked.batch_size)
        champion = read_json(run.champion_file) if run.champion_file.exists() else None
        page = report_page(run.path.name, evaluation, shown, run.metrics(), champion)
        write_bytes(run.report_file, page.encode())
        write_json(run.evaluation_file, evaluation)
        return evaluation

    return processes.first(written)


def encoder_of(
    run: RunFolder, config: RunConfig, checkpoint: Path, dataset: DatasetFolder, device: torch.device
) -> EncoderModel:
    """The model of a checkpoint, made whole for encoding."""
    model = load_model(run, checkpoint, device)
    settle_encoder(model, dataset, config.data)
    assert isinstance(model, EncoderModel)
    return model


def evaluate_images(path: Path, config: RunConfig, output: Path | None) -> dict[str, Any]:
    """Evaluate images on disk against a configuration's data, as a run's samples are.

    All of them count, as one set. With `output` evaluation.json and report.html are written there. UserError for images
    that are not of the data's size and channels.
    """
    start = time.monotonic()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        if output is not None:
            processes.first(lambda: make_output(output))
        dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
        images = open_images(path, tuple(dataset.manifest.shape))
        asked = config.evaluation.model_copy(update={"samples": images.count, "every": None})
        check_counts(asked, dataset.manifest, f"images in {path.name}")
        evaluator = make_evaluator(dataset, asked, processes, device, not config.condition.has_context)
        scores = evaluator.scorer(images.chunk, images.count, "images")
        origin = {
            "samples": {"count": images.count, "source": path.name, "content_hash": images.content_hash},
            "likelihood": None,
            "reconstructions": None,
            "conditions": None,
        }
        evaluation = conclude(evaluator, [scores.metrics], Findings(), scores.details, origin, start)

        def written() -> dict[str, Any]:
            if output is not None:
                shown = drawing.of_samples(images.chunk(0), scores.features, evaluator.scorer.train, dataset)
                shown = drawing.of_baseline(shown, evaluator.baseline.sampler, asked.seed)
                write_report(output, path, evaluation, shown)
            return evaluation

        return processes.first(written)


def write_report(output: Path, path: Path, evaluation: dict[str, Any], shown: ReportFigures) -> None:
    page = report_page(path.name, evaluation, shown, [], None)
    write_bytes(output / "report.html", page.encode())
    write_json(output / "evaluation.json", evaluation)


def make_output(output: Path) -> None:
    """The folder for a report; UserError if it cannot be made."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output} cannot be made a folder ({error.strerror}); name another.") from error


def evaluate_sampler(folder: Path, config: RunConfig, output: Path | None) -> dict[str, Any]:
    """Evaluate an exported sampler against a configuration's data, whatever it was trained on, as a run's is.

    So models of different runs are measured alike. With `output` evaluation.json and report.html are written there.
    UserError where it makes other images than the data has.
    """
    start = time.monotonic()
    with joined(cpu=config.training.device == "cpu") as (processes, device):
        if output is not None:
            processes.first(lambda: make_output(output))
        sampler, asked = load_sampler(folder, device), config.evaluation
        dataset = open_dataset(processes.first(lambda: prepare(config.data, progress=False).path))
        check_shape(sampler, dataset)
        binarize = config.data.binarize == "draw"
        sampler = sampler.bound_to(contexts_of(whole_test_split(dataset), binarize))
        check_counts(asked, dataset.manifest)
        evaluator = make_evaluator(dataset, asked, processes, device, with_baseline=sampler.condition is None)
        first, sets = evaluator.samples(sampler)
        found, of_sampler = evaluator.conditions(sampler, binarize)
        evaluation = conclude(evaluator, sets, found, first.details, origin_of(sampler, asked, **of_sampler), start)

        def written() -> dict[str, Any]:
            if output is not None:
                drawn = sampler.images(min(drawing.most(dataset), asked.samples), asked.seed)
                shown = drawing.of_samples(drawn, first.features, evaluator.scorer.train, dataset)
                shown = drawing.of_baseline(shown, evaluator.baseline.sampler, asked.seed)
                shown = drawing.of_contexts(shown, sampler, asked.seed, dataset, binarize)
                write_report(output, folder, evaluation, shown)
            return evaluation

        return processes.first(written)


def origin_of(sampler: TrainedSampler, asked: EvaluationConfig, **of_model: Any) -> dict[str, Any]:
    """The part of the provenance that tells which samples were scored."""
    known = {name: sampler.info.get(name) for name in ("ema_half_life", "step", "images", "weights_sha256")}
    samples = {"count": asked.samples, "seeds": seeds_of(asked)}
    return {
        "samples": samples,
        **known,
        **{"likelihood": None, "reconstructions": None, "conditions": None, **of_model},
    }


def check_fit(sampler: TrainedSampler, dataset: DatasetFolder, asked: EvaluationConfig) -> None:
    """UserError unless sampler, dataset and counts go together."""
    manifest = dataset.manifest
    if not sampler.info.keys() >= {"dataset_hash", "step", "images", "ema_half_life"}:
        raise UserError("the sampler's config.json does not say what it was trained on; export it anew: genlib train.")
    if sampler.info["dataset_hash"] != manifest.content_hash:
        raise UserError(
            f"the sampler was trained on the dataset {sampler.info['dataset_hash'][:12]}, but {dataset.path} is "
            f"{manifest.content_hash[:12]}; restore the data, or train anew."
        )
    check_shape(sampler, dataset)
    check_counts(asked, manifest)


def check_shape(sampler: TrainedSampler, dataset: DatasetFolder) -> None:
    """UserError unless the sampler makes such images as the data has, for captions of the same words."""
    made, there = tuple(sampler.image_shape), tuple(dataset.manifest.shape)
    if made != there:
        raise UserError(
            f"the sampler makes images of shape {made}, but the dataset's are {there}; evaluate it on its own dataset."
        )
    names = sampler.condition.names if sampler.condition else None
    if names is not None and names != dataset.scene_names:
        raise UserError(
            f"the sampler's captions are of {', '.join(names)}, but the dataset's of "
            f"{', '.join(dataset.scene_names or ['nothing'])}; evaluate it on its own dataset."
        )
