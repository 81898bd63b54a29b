"""make bench: every figure a ratio within one run where there is something to compare with.

Writes RESULTS.md and RESULTS.json beside this file. MNIST's real files are used where `MNIST` names their folder.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

import torch

from tests.benchmarks.commands import measure_flow, measure_prepare, measure_start
from tests.benchmarks.evaluation import measure_directions, measure_evaluation
from tests.benchmarks.properties import measure_properties
from tests.benchmarks.training import measure

HERE = Path(__file__).parent
ARROWS = (
    "Each set in the place of samples, against the train split. An arrow marks a metric that must move from its value "
    "for held-out images, and did; ✗ one that did not."
)

PROPERTIES = "The shipped configurations, trained and judged with seeds 0 to 2."


def main() -> None:
    mnist = os.environ.get("MNIST")
    rows = measure_start() + measure_prepare(Path(mnist).resolve() if mnist else None) + measure() + measure_flow()
    rows += measure_evaluation()
    properties = measure_properties()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    machine = (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, torch {torch.__version__}"
    )
    lines = [
        "# Speed and memory",
        "",
        f"`make bench` on {machine}, commit {commit or 'unknown'}. Medians; runs that are compared alternate.",
        "",
        "| what | figure | least to most | wanted |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        spread = " to ".join(str(value) for value in (min(row["range"]), max(row["range"]))) if row["range"] else ""
        lines.append(f"| {row['what']} | {row['ratio']} | {spread} | {row['wanted']} |")
    print("\n".join(lines), flush=True)  # what is measured is not lost with what follows
    lines += ["", "# What the variants do", "", PROPERTIES, ""]
    lines += ["| what | worst of the seeds | seeds 0, 1, 2 | wanted |", "| --- | --- | --- | --- |"]
    for row in properties:
        lines.append(f"| {row['what']} | {row['ratio']} | {', '.join(map(str, row['range']))} | {row['wanted']} |")
    lines += ["", "# Metrics of images that were spoilt in known ways", "", ARROWS, "", *measure_directions()]
    text = "\n".join(lines) + "\n"
    (HERE / "RESULTS.md").write_text(text)
    (HERE / "RESULTS.json").write_text(
        json.dumps({"machine": machine, "commit": commit, "rows": rows, "properties": properties}, indent=2) + "\n"
    )
    print(text)


if __name__ == "__main__":
    main()
