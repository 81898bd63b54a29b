"""An evaluation as lines of text; free of torch."""

from __future__ import annotations

from typing import Any

from genlib.config import METRICS


def table(evaluation: dict[str, Any]) -> str:
    """One line a metric with its value, the real-data floor and the better direction; then counts and warnings."""
    provenance = evaluation["provenance"]
    likelihood = provenance["likelihood"] or {"standard_error": {}}
    rows = [("metric", "value", "real-data floor", "better")]
    for name, value in evaluation["metrics"].items():
        error = likelihood["standard_error"].get(name)
        shown = f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"
        floor = evaluation["floor"].get(name)
        rows.append((name, shown, "-" if floor is None else f"{floor:.4f}", METRICS.get(name, "")))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    warnings = [f"Warning: {warning}" for warning in provenance["warnings"]]
    return "\n".join([*lines, *footnotes(provenance), *warnings])


def footnotes(provenance: dict[str, Any]) -> list[str]:
    """Which images, which features."""
    extractor, neighbours, floor = provenance["extractor"], provenance["neighbours"], provenance["floor"]
    accuracy = provenance["extractor_facts"].get("test_accuracy")
    known = "" if accuracy is None else f", test accuracy {accuracy:.1%}"
    return [
        f"{provenance['samples']['count']} samples (seed {provenance['samples']['seed']}) against "
        f"{provenance['reference']['count']} train images; floor: {floor['count']} test images in their place; "
        f"precision to coverage: {neighbours['samples']} against {neighbours['reals']}, k = {neighbours['k']}.",
        f"Features: {extractor['name']} ({extractor['features']} numbers, {extractor['hash'][:12]}{known}).",
    ]
