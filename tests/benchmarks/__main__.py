"""make bench: every figure a ratio within one run where there is something to compare with.

`python -m tests.benchmarks [PART ...]` measures these parts, all by default, and writes them into RESULTS.json and
RESULTS.md beside this file; what is not measured keeps its figures and their commit. `python -m tests.benchmarks
configurations ROW ...` measures these rows of that part, and keeps each as soon as it is there. The real files of MNIST
and CIFAR-10 are used where `MNIST` and `CIFAR10` name their folders. `python -m tests.benchmarks compare` fails where a
ratio is far below the committed one, and names those that lie outside of its spread.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from genlib.storage.files import write_json
from tests.benchmarks.captions import measure_captions
from tests.benchmarks.commands import measure_evaluation_share, measure_flow, measure_prepare, measure_start
from tests.benchmarks.conditions import measure_conditions
from tests.benchmarks.configurations import configurations_table, measure_configurations
from tests.benchmarks.evaluation import OF_EACH, OF_TRAIN, measure_directions, measure_effects, measure_evaluation
from tests.benchmarks.faults import measure_faults
from tests.benchmarks.properties import measure_properties
from tests.benchmarks.published import measure_published
from tests.benchmarks.scaling import measure_scaling
from tests.benchmarks.streaming import measure_streaming
from tests.benchmarks.training import measure_peers, measure_training

FOLDER = Path(__file__).parent
Row = dict[str, Any]
FALL = 0.15  # by which a ratio may be lower than the committed one


def mnist_files() -> Path | None:
    return Path(os.environ["MNIST"]).resolve() if "MNIST" in os.environ else None


def measure_speed() -> list[Row]:
    mnist = mnist_files()
    return measure_start() + measure_prepare(mnist) + measure_flow() + measure_evaluation_share(mnist)


def speed_table(rows: list[Row]) -> list[str]:
    lines = ["| what | figure | spread | wanted |", "| --- | --- | --- | --- |"]
    for row in rows:
        spread = " to ".join(str(value) for value in (min(row["range"]), max(row["range"]))) if row["range"] else ""
        lines.append(f"| {row['what']} | {row['ratio']} | {spread} | {row['wanted']} |")
    return lines


def properties_table(rows: list[Row]) -> list[str]:
    lines = ["| what | worst of the seeds | seeds 0, 1, 2 | wanted |", "| --- | --- | --- | --- |"]
    return lines + [
        f"| {row['what']} | {row['ratio']} | {', '.join(map(str, row['range']))} | {row['wanted']} |" for row in rows
    ]


# Of each part: its title, what its figures are, how they are measured, and how they become lines of Markdown.
PARTS: dict[str, tuple[str, str, Callable[[], Any], Callable[[Any], list[str]]]] = {
    "training": (
        "Training speed",
        "Other loops' time for a step over genlib's, each in a process of its own; medians of rounds in which they "
        "alternate, over two sets of processes, and where all of them lie. genlib's training flushes denormal "
        "numbers to zero, which torch does not by default: so each is compared with the bare loop as it is, and with "
        "one that does so too.",
        measure_training,
        speed_table,
    ),
    "peers": (
        "Against what one would use instead",
        "As above: the loops of a DataLoader, of Accelerate's examples and of pythae's trainer.",
        measure_peers,
        speed_table,
    ),
    "streaming": (
        "Data larger than memory",
        "As above. The file lies in the page cache as far as that reaches.",
        measure_streaming,
        speed_table,
    ),
    "scaling": (
        "Several processes",
        "Two processes by gloo; on paper, a ring all-reduce of float32 gradients of which half a step hides a part.",
        measure_scaling,
        speed_table,
    ),
    "speed": ("Start, flow and evaluation", "Medians; runs that are compared alternate.", measure_speed, speed_table),
    "metrics": ("Single metrics", "Medians; what is compared alternates.", measure_evaluation, speed_table),
    "published": (
        "Likelihoods that were published",
        "Nats of 10,000 test images, binarized, with 5,000 importance samples each, and their standard error.",
        lambda: measure_published(mnist_files()),
        speed_table,
    ),
    "properties": (
        "What the variants do",
        "The shipped configurations, trained and judged with seeds 0 to 2.",
        measure_properties,
        properties_table,
    ),
    "configurations": (
        "Every configuration on its data",
        "The shipped configurations at their own size, trained for five steps on the data that they name, exported and "
        "sampled.",
        measure_configurations,
        configurations_table,
    ),
    "conditions": (
        "Images from what is given of them",
        "The shipped configurations, trained and judged with seeds 0 to 2; those on MNIST for a part of their steps. "
        "PSNR in dB; what is compared was given the same test images.",
        lambda: measure_conditions(mnist_files()),
        properties_table,
    ),
    "captions": (
        "Images for captions",
        "The shipped configuration, trained and judged with seed 0; test images: what is read in real ones.",
        measure_captions,
        speed_table,
    ),
    "faults": (
        "Ready for faults",
        "Ratios of runs that alternate, and trainings that were killed at random.",
        measure_faults,
        speed_table,
    ),
    "directions": (
        "Metrics of images that were spoilt in known ways",
        "Each set in the place of samples, against the train split. An arrow marks a metric that must move from its "
        "value for held-out images, and did; ✗ one that did not.",
        measure_directions,
        list,
    ),
    "effects": (
        "How far distances by several features see spoilt images",
        f"The same sets, {OF_EACH:,} images of each, against {OF_TRAIN:,} training images: their Fréchet distance as a "
        "multiple of that of as many held-out images, which stands in brackets. Those of `classifier` are of a network "
        "that was trained on these data; those of `imagenet` and `random` need no labels.",
        measure_effects,
        list,
    ),
}


def main(names: list[str]) -> None:
    """Measure, and keep each part as soon as it is there."""
    if names == ["compare"]:
        sys.exit(compare())
    if names[:1] == ["configurations"]:
        for row in measure_configurations(names[1:]):
            keep_row(row)
        return
    if unknown := set(names) - set(PARTS):
        sys.exit(f"'{unknown.pop()}' is no part; known: {', '.join(PARTS)}.")
    for name in names or list(PARTS):
        results = json.loads((FOLDER / "RESULTS.json").read_text())
        figures = list(PARTS[name][2]())
        results[name] = {"machine": machine(), "commit": commit(), "figures": figures}
        keep(results)
        print("\n".join(section(name, results[name])), flush=True)


def keep(results: dict[str, Any]) -> None:
    write_json(FOLDER / "RESULTS.json", results)
    (FOLDER / "RESULTS.md").write_text(rendered(results))


def keep_row(row: Row) -> None:
    """Put a row of the part `configurations` in the place of the former one."""
    results = json.loads((FOLDER / "RESULTS.json").read_text())
    part = results["configurations"]
    rows = {known["configuration"]: known for known in part["figures"]}
    rows[row["configuration"]] = row
    results["configurations"] = part | {"machine": machine(), "figures": [rows[name] for name in sorted(rows)]}
    keep(results)


def compare() -> int:
    """Whether a ratio is worse than the committed one by more than FALL; 1 if so."""
    shown = subprocess.run(
        ["git", "show", "HEAD:./RESULTS.json"], capture_output=True, text=True, cwd=FOLDER, check=True
    )
    before, after = json.loads(shown.stdout), json.loads((FOLDER / "RESULTS.json").read_text())
    for line in strays(before, after):
        print(f"outside of its spread: {line}")
    fallen = falls(before, after)
    print("\n".join(f"fell: {line}" for line in fallen) or f"no ratio fell by more than {FALL:.0%}.")
    return 1 if fallen else 0


def falls(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """A line for each ratio that must be high and is lower than it was by more than FALL."""
    return [
        f"{now['what']}: {now['ratio']}, was {was['ratio']}"
        for was, now in pairs(before, after)
        if now["wanted"].startswith(">") and now["ratio"] < was["ratio"] * (1 - FALL)
    ]


def strays(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """A line for each figure outside of the spread that was stated."""
    return [
        f"{now['what']}: {now['ratio']}, was {' to '.join(map(str, was['range']))}"
        for was, now in pairs(before, after)
        if was["range"] and not min(was["range"]) <= now["ratio"] <= max(was["range"])
    ]


def pairs(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[Row, Row]]:
    """Each figure as it was and as it is, of the parts that were measured again."""
    found = []
    for part in PARTS:
        if PARTS[part][3] is speed_table and part in before and part in after and before[part] != after[part]:
            former = {row["what"]: row for row in before[part]["figures"]}
            found += [(former[row["what"]], row) for row in after[part]["figures"] if row["what"] in former]
    return found


def rendered(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    return "\n\n".join("\n".join(section(name, results[name])) for name in PARTS if name in results) + "\n"


def section(name: str, result: dict[str, Any]) -> list[str]:
    title, what, _, table = PARTS[name]
    measured = f"`python -m tests.benchmarks {name}` on {result['machine']}, commit {result['commit']}. {what}"
    return [f"# {title}", "", measured, "", *table(result["figures"])]


def machine() -> str:
    cores = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"{cores}, Python {platform.python_version()}, torch {torch.__version__}"


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=FOLDER)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main(sys.argv[1:])
