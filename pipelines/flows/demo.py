"""`make demo`: the two small models from real digits to the registry, and a table of what came out."""

from __future__ import annotations

import os
from typing import Any

from genlib.runtime.text import text_table
from pipelines.servers.environment import redacted

CONFIGURATIONS = ("vae_digits", "dcgan_digits")


def demo() -> str:
    """Run the demonstration; returns the closing table."""
    from pipelines.flows.retrain import retrain

    return report([retrain(name) for name in CONFIGURATIONS])


def report(summaries: list[dict[str, Any]]) -> str:
    heading = ["model", "version", "alias", "metric", "value", "real-data floor", "baseline", "images/s"]
    stages = list(summaries[0]["seconds"])
    rows = [[*heading, *(f"{stage} s" for stage in stages)]]
    for summary in summaries:
        metric, seconds = summary["metric"], summary["seconds"]
        rows.append(
            [
                summary["model"],
                summary["version"],
                summary["alias"] or "none",
                metric,
                with_deviation(summary["metrics"].get(metric), summary["std"].get(metric)),
                number(summary["floor"].get(metric)),
                number(summary["baseline"].get(metric)),
                f"{summary['images_per_second']:,.0f}",
                *(f"{seconds[stage]:.1f}" for stage in stages),
            ]
        )
    gate = [f"{summary['model']} version {summary['version']}: {summary['reason']}" for summary in summaries]
    grids = [f"samples of {summary['model']}: {summary['samples']}" for summary in summaries]
    grids += [f"report on {summary['model']}: {summary['run_folder']}/report.html" for summary in summaries]
    closing = [
        "Open the interfaces with `make ui`: metrics and models in MLflow, the flow runs in Prefect.",
        f"The models are in MLflow at {redacted(os.environ['MLFLOW_TRACKING_URI'])}",
    ]
    return "\n".join([text_table(rows, ruled=True), "", *gate, "", *grids, "", *closing])


def with_deviation(value: float | None, std: float | None) -> str:
    return number(value) + (f" ± {number(std)}" if std is not None else "")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
