"""`make demo`: the two small models from real digits to the registry, and a table of what came out."""

from __future__ import annotations

from typing import Any

from genlib.config import load_config
from pipelines.provenance import PROJECT
from pipelines.text import text_table

CONFIGURATIONS = ("vae_digits", "dcgan_digits")


def demo() -> str:
    """Run the demonstration; returns the closing table."""
    configs = [load_config(PROJECT / "configs" / f"{name}.yaml") for name in CONFIGURATIONS]
    from pipelines.flow import retrain

    return report([retrain(config) for config in configs])


def report(summaries: list[dict[str, Any]]) -> str:
    heading = ["model", "version", "alias", "metric", "value", "real-data floor", "images/s"]
    stages = list(summaries[0]["seconds"])
    rows = [[*heading, *(f"{stage} s" for stage in stages)]]
    for summary in summaries:
        metric, seconds = summary["metric"], summary["seconds"]
        rows.append(
            [
                summary["model"],
                summary["version"],
                summary["alias"],
                metric,
                f"{summary['metrics'][metric]:.4g}",
                f"{summary['floor'][metric]:.4g}" if metric in summary["floor"] else "",
                f"{summary['images_per_second']:,.0f}",
                *(f"{seconds[stage]:.1f}" for stage in stages),
            ]
        )
    gate = [f"{summary['model']} version {summary['version']}: {summary['reason']}" for summary in summaries]
    grids = [f"samples of {summary['model']}: {summary['samples']}" for summary in summaries]
    closing = "Open the interfaces with `make ui`: metrics and models in MLflow, the flow runs in Prefect."
    return "\n".join([text_table(rows), "", *gate, "", *grids, "", closing])
