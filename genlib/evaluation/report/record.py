"""evaluation.json: every metric with its error and floor, and the provenance of the values."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from genlib.config.metrics import definition_of, metrics
from genlib.config.training import EvaluationConfig
from genlib.evaluation.estimates import Estimate, Findings, measured, numbers_only
from genlib.evaluation.preflight import null_bias
from genlib.evaluation.scoring.evaluator import Evaluator
from genlib.evaluation.scoring.held_out import HeldOut
from genlib.evaluation.statistics.reconstruction import similarity_provenance
from genlib.models.base import EncoderModel, LatentVariableModel
from genlib.runs.folder import RunFolder
from genlib.runtime.provenance import git_state

GREY = "grey values as probabilities: a cross-entropy, not comparable with likelihoods of binarized images"
ENOUGH = 10  # pairs for each of their dimensions
VERSIONED = ("torch", "torchmetrics", "numpy", "scipy", "accelerate")


def conclude(
    evaluator: Evaluator,
    sets: list[dict[str, Estimate]],
    found: Findings,
    details: dict[str, Any],
    origin: dict[str, Any],
    start: float,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """evaluation.json."""
    asked, scorer, manifest = evaluator.asked, evaluator.scorer, evaluator.dataset.manifest
    extractor = scorer.extractors.main
    of_samples, broken = measured(sets, evaluator.floor, evaluator.baseline.sets)
    of_model, broken_of_model = measured([found.metrics], found.floor)
    warnings = [
        *notes,
        *scorer.extractors.warnings,
        *filter(None, [evaluator.baseline.warning]),
        *warnings_of(evaluator, (origin["reconstructions"] or {}).get("count")),
    ]
    if pairs := found.metrics.get("fd_pairs"):
        warnings += warnings_of_pairs(pairs.count, extractor.num_features)
    if "not_finite" in details:
        warnings.append(f"{details['not_finite']} samples are NaN or infinite: none of their metrics is reported.")
    warnings += [f"{name} is {value}, and is left out." for name, value in (broken | broken_of_model).items()]
    values = in_order(of_samples | of_model)
    provenance = {
        "warnings": warnings,
        "extractor": {"name": extractor.name, "hash": extractor.hash, "features": extractor.num_features},
        "extractor_facts": extractor.facts,
        "extractors_beside": {other.name: other.hash for other in scorer.extractors.others},
        "definitions": {name: definition_of(name) for name in values if definition_of(name) > 1},
        "features_asked": asked.features.name,
        "resize": extractor.facts.get("resize", "none"),
        "reference": {"split": "train", "count": scorer.train.moments.count},
        "floor": {"split": "test", "count": evaluator.floor_count},
        "baseline": evaluator.baseline.facts,
        "neighbours": {
            "k": asked.neighbours,
            "images": scorer.neighbour_count,
            "training": len(scorer.train.features),
            "held_out": len(scorer.held_out.features),
        },
        **origin,
        "dataset": evaluator.dataset.path.name,
        "dataset_hash": manifest.content_hash,
        **git_state(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONED}},
        "device": evaluator.device.type,
        "processes": evaluator.processes.count,
        "seconds": round(time.monotonic() - start, 2),
    }
    return {"metrics": values, "details": numbers_only(details | found.details), "provenance": provenance}


def in_order(values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The values in the order of tables; those that no record tells of last."""
    known = [name for name in metrics() if name in values]
    return {name: values[name] for name in (*known, *(name for name in values if name not in known))}


def warnings_of(evaluator: Evaluator, reconstructions: int | None) -> list[str]:
    """Warnings to the table's reader about its counts."""
    asked, counts = evaluator.asked, evaluator.dataset.manifest.counts
    things = "points" if evaluator.dataset.is_points else "images"
    dimensions, few = evaluator.scorer.extractors.main.num_features, evaluator.scorer.neighbour_count
    warnings = []
    if few < asked.samples:
        warnings.append(
            f"Neighbours, copies and kernel distance are of {few} samples, as many as there are {things} to compare "
            "with."
        )
    kept = {"train": len(evaluator.scorer.train.features), "test": len(evaluator.scorer.held_out.features)}
    for split in [split for split in kept if kept[split] < counts[split]]:
        warnings.append(
            f"The nearest {split} {things} are looked for among {kept[split]:,} of {counts[split]:,}, as many features "
            "as memory has room for: copies of the others are not found."
        )
    if evaluator.floor_count < asked.samples:
        warnings.append(
            f"The floor is of {evaluator.floor_count} {things}, all that the test split has, and the metrics are of "
            f"{asked.samples}: fewer {things} give a higher Fréchet distance."
        )
    sizes = {"floor's": evaluator.floor_count, "reference's": counts["train"]}
    if reconstructions is not None:
        sizes["reconstructions'"] = reconstructions
    for what, count in sizes.items():
        if count <= dimensions:
            warnings.append(
                f"The {what} {count} images are too few for {dimensions} features: their number alone adds about "
                f"{null_bias(count, dimensions):.2g} of the features' total variance to a Fréchet distance."
            )
    return warnings


def warnings_of_pairs(count: int, dimensions: int) -> list[str]:
    """A warning about the Fréchet distance of conditions beside images, which has no floor."""
    if count >= ENOUGH * 2 * dimensions:
        return []
    return [
        f"fd_pairs is of {count} pairs of twice {dimensions} features: so few that a perfect model's is well above 0; "
        "compare it within one table only."
    ]


def model_provenance(evaluator: Evaluator, model: EncoderModel, test: HeldOut) -> dict[str, Any]:
    """Provenance of the likelihoods and the reconstructions."""
    points, asked, of = evaluator.dataset.is_points, evaluator.asked, {"split": "test", "count": test.count}
    provenance: dict[str, Any] = {"likelihood": None, "reconstructions": None}
    if isinstance(model, LatentVariableModel):
        dequantized = model.pixels == "density" and not points
        provenance["likelihood"] = {
            "pixels": "coordinates: a density" if points else pixels_of(model, test),
            **of,
            "importance_samples": asked.likelihood_samples,
            "seed": asked.seed,
            "unit": "nats per point" if points else "nats per image",
            "dequantization": "uniform, one step of uint8 wide" if dequantized else "none",
        }
    if not points:
        provenance["reconstructions"] = {
            **of,
            "ssim_window": similarity_provenance(evaluator.dataset.manifest.shape[1]),
        }
    return provenance


def pixels_of(model: LatentVariableModel, test: HeldOut) -> str:
    """The variable of p(x | z), in words."""
    match model.pixels:
        case "density":
            return "a density, dequantized"
        case "probability":
            return "probabilities of 256 values"
    if test.binarize_seed is not None:
        return "binary, drawn once for each image with its grey values as probabilities"
    images = test.chunk(0)
    return "binary" if ((images == 0) | (images == 255)).all() else GREY


def notes_of(run: RunFolder, asked: EvaluationConfig) -> list[str]:
    """Remarks on the training and the method for readers of the evaluation."""
    config, result = run.config(), run.result()
    note, best = result.get("note"), result.get("best", {})
    notes = [f"{note[0].upper()}{note[1:]}"] if note and asked.checkpoint == "last" else []
    if asked.checkpoint == "best" and config.chooses_by_held_out_images and best.get("split") != "validation":
        notes.append(
            f"The checkpoint was chosen by {best.get('metric')} with test images, which score it here too, so these "
            "figures are optimistic; train anew with data.validation_fraction above 0."
        )
    return notes + ([config.method.caveat] if config.method.caveat else [])
