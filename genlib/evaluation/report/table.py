"""An evaluation as lines of text; free of torch."""

from __future__ import annotations

from typing import Any

from genlib.config.metrics import direction_of
from genlib.evaluation.estimates import baselines_of
from genlib.runtime.text import text_table


def table(evaluation: dict[str, Any]) -> str:
    """One line a metric with its value, the real-data floor, the baseline where there is one, and the better direction;
    then counts and warnings.
    """
    known = baselines_of(evaluation)
    rows = [["metric", "value", "real-data floor", *(["baseline"] if known else []), "images", "better"]]
    for name, entry in evaluation["metrics"].items():
        floor = "-" if entry["floor"] is None else f"{entry['floor']:.4f}"
        beside = [f"{known[name]:.4f}" if name in known else "-"] if known else []
        rows.append([name, with_error(entry), floor, *beside, str(entry["count"]), direction_of(name) or ""])
    provenance = evaluation["provenance"]
    warnings = [f"Warning: {warning}" for warning in provenance["warnings"]]
    beside = baselines(evaluation["details"].get("baselines", {}))
    return "\n".join([text_table(rows), *beside, *footnotes(provenance), *warnings])


def baselines(found: dict[str, dict[str, float]]) -> list[str]:
    """Samples for conditions beside images that need no model; nothing without a condition."""
    if not found:
        return []
    names = list(dict.fromkeys(name for row in found.values() for name in row))
    cells = [[f"{row[name]:.4f}" if name in row else "-" for name in names] for row in found.values()]
    return ["", text_table([["images", *names], *([what, *row] for what, row in zip(found, cells, strict=True))]), ""]


def with_error(entry: dict[str, Any]) -> str:
    """The value and its standard deviation over the seeds; its standard error where there was but one set."""
    error = entry["std"] if entry["std"] is not None else entry.get("standard_error")
    return f"{entry['value']:.4f}" + ("" if error is None else f" ± {error:.4f}")


def footnotes(provenance: dict[str, Any]) -> list[str]:
    """Counts and names of images and features."""
    extractor, neighbours, floor = provenance["extractor"], provenance["neighbours"], provenance["floor"]
    samples, likelihood = provenance["samples"], provenance["likelihood"]
    accuracy = provenance["extractor_facts"].get("test_accuracy")
    known = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
    seeds = samples.get("seeds")
    of = f", each with seeds {seeds[0]} to {seeds[-1]}" if seeds and len(seeds) > 1 else ""
    lines = [
        f"{samples['count']} samples{of} against {provenance['reference']['count']} train images; floor: "
        f"{floor['count']} test images in their place; neighbours and kernel distance: {neighbours['images']} against "
        f"as many, k = {neighbours['k']}; copies: among {neighbours['training']} train images. "
        "After ±: the standard deviation over the seeds, else the standard error.",
        f"Features: {extractor['name']} ({extractor['features']} numbers, {extractor['hash'][:12]}{known}).",
    ]
    if mixture := provenance.get("baseline"):
        noise = ", beside normal noise" if mixture.get("residual_noise") else ""
        lines.append(
            f"Baseline: {mixture['name']} of {mixture['components']} components in {mixture['dimensions']} dimensions, "
            f"fitted to {mixture['images']} train images{noise}; sampled and scored as the model is."
        )
    if (best := provenance.get("best")) and "split" in best:
        lines.append(
            f"Checkpoint: the best of the training by {best['metric']} of {best['images']} {best['split']} images."
        )
    if left_out := provenance.get("validation"):
        lines.append(
            f"Validation: {left_out['left_out_of_training']} train images that the training left out, to choose its "
            "best checkpoint by."
        )
    if likelihood:
        lines.append(
            f"Likelihood: {likelihood['count']} test images, {likelihood['importance_samples']} importance samples, "
            f"{likelihood['unit']}; pixels: {likelihood['pixels']}."
        )
    return lines
