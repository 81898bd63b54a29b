"""make bench: every figure a ratio within one run where there is something to compare with.

`python -m tests.benchmarks [PART ...]` measures these parts and writes them into RESULTS.json and RESULTS.md beside
this file; what is not measured keeps its figures and their commit. Without a name it measures all but those that take
hours. The real files of MNIST and CIFAR-10 are used where `MNIST` and `CIFAR10` name their folders.

`python -m tests.benchmarks training FAMILY ...`, `configurations ROW ...`, `quality [ROW ...]` and
`quality_peers [ROW ...]` keep each row as soon as it is there. `quality` takes hours: where it was cut off, the same
command goes on in the same run folders. So does `quality_peers`: it trains models of other projects, of which PEERS
names a folder with their checkouts, on the same files in the same minutes; a row without its checkout is left out.
`python -m tests.benchmarks gpu` needs eight minutes of an NVIDIA GPU and writes RESULTS-GPU.md; without a GPU it says
what it would do. `python -m tests.benchmarks compare` fails where a ratio is far below the committed one, and names
those that lie outside of their spread.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import torch

from genlib.storage.files import write_json
from tests.benchmarks.tables import (
    Row,
    configurations_table,
    peers_table,
    properties_table,
    quality_table,
    speed_table,
)

FOLDER = Path(__file__).parent
FALL = 0.15  # by which a ratio may be lower than the committed one


class Part(NamedTuple):
    """A part of RESULTS.md."""

    title: str
    meaning: str  # of its figures
    measure: str  # module:function; loaded when it is measured, since parts need packages that others do not
    table: Callable[..., list[str]]  # from figures, and those of the part that it is `beside`, to lines of Markdown
    row: str | None = None  # the name of a row, where each is kept as soon as it is there
    beside: str | None = None  # another part whose figures the table shows too

    def measured(self, names: Sequence[str] = ()) -> Iterable[Any]:
        """Figures, or lines; of a part that keeps single rows those with these `names`, by default all."""
        function = resolve_name(f"tests.benchmarks.{self.measure}")
        return function(names) if self.row else function()


PARTS = {
    "training": Part(
        "Training speed",
        "Other loops' time for a step over genlib's, each in a process of its own; medians of rounds in which they "
        "alternate, over two sets of processes, and where all of them lie. genlib's training flushes denormal "
        "numbers to zero, which torch does not by default: so each is compared with the bare loop as it is, and with "
        "one that does so too.",
        "training:measure_training",
        speed_table,
        row="what",
    ),
    "peers": Part(
        "Against what one would use instead",
        "As above: the loops of a DataLoader, of Accelerate's examples and of pythae's trainer.",
        "training:measure_peers",
        speed_table,
    ),
    "streaming": Part(
        "Data larger than memory",
        "As above. The file lies in the page cache as far as that reaches.",
        "streaming:measure_streaming",
        speed_table,
    ),
    "scaling": Part(
        "Several processes",
        "Two processes by gloo; on paper, a ring all-reduce of float32 gradients of which half a step hides a part.",
        "scaling:measure_scaling",
        speed_table,
    ),
    "sharing": Part(
        "Beside another training",
        "Images per second of `genlib train`, alone and two at once, in turn: medians of three rounds, and each.",
        "sharing:measure_sharing",
        speed_table,
    ),
    "speed": Part(
        "Start, flow and evaluation",
        "Medians; runs that are compared alternate.",
        "commands:measure_speed",
        speed_table,
    ),
    "metrics": Part(
        "Single metrics", "Medians; what is compared alternates.", "evaluation:measure_evaluation", speed_table
    ),
    "published": Part(
        "Likelihoods that were published",
        "Nats of 10,000 test images, binarized, with 5,000 importance samples each, and their standard error.",
        "published:measure_published",
        speed_table,
    ),
    "properties": Part(
        "What the variants do",
        "The shipped configurations, trained and judged with seeds 0 to 2.",
        "properties:measure_properties",
        properties_table,
    ),
    "quality": Part(
        "How good the samples are",
        "Trainings with seeds 0 to 2 by `genlib train` and `genlib evaluate`: metrics of the worst seed and of each, "
        "beside the floor that held-out images get and the baseline that needs no training. Minutes are those of the "
        "longest training, without evaluations, of the limit. A row names the commits that trained it.",
        "quality:measure_quality",
        quality_table,
        row="row",
    ),
    "quality_peers": Part(
        "How good the samples of other projects' trainers are",
        "Their networks, losses and optimizers, trained with one seed on the same files for about the minutes of "
        "genlib's row beside, and judged by `genlib evaluate --images`. Minutes are those of training, without fitting "
        "samplers and drawing. A row names genlib's commit, and that of the project, or its version.",
        "quality_peers:measure_quality_peers",
        peers_table,
        row="row",
        beside="quality",
    ),
    "configurations": Part(
        "Every configuration on its data",
        "The shipped configurations at their own size, trained for five steps on the data that they name, exported and "
        "sampled.",
        "configurations:measure_configurations",
        configurations_table,
        row="configuration",
    ),
    "conditions": Part(
        "Images from what is given of them",
        "The shipped configurations, trained and judged with seeds 0 to 2; those on MNIST for a part of their steps. "
        "PSNR in dB; what is compared was given the same test images.",
        "conditions:measure_conditions",
        properties_table,
    ),
    "faults": Part(
        "Ready for faults",
        "Ratios of runs that alternate, and trainings that were killed at random.",
        "faults:measure_faults",
        speed_table,
    ),
    "directions": Part(
        "Metrics of images that were spoilt in known ways",
        "Each set in the place of samples, against the train split. An arrow marks a metric that must move from its "
        "value for held-out images, and did; ✗ one that did not.",
        "evaluation:measure_directions",
        list,
    ),
    "effects": Part(
        "How far distances by several features see spoilt images",
        "The same sets, 5,000 images of each, against 10,000 training images: their Fréchet distance as a "
        "multiple of that of as many held-out images, which stands in brackets. Those of `classifier` are of a network "
        "that was trained on these data; those of `imagenet` and `random` need no labels.",
        "evaluation:measure_effects",
        list,
    ),
}
HOURS = ("quality", "quality_peers")  # parts that take hours, and so are measured only where they are named


def main(names: list[str]) -> None:
    """Measure, and keep each part, or each row, as soon as it is there."""
    if names == ["compare"]:
        sys.exit(compare())
    if names[:1] == ["gpu"]:
        resolve_name("tests.benchmarks.gpu:main")(names[1:])
        return
    if len(names) > 1 and names[0] in PARTS and PARTS[names[0]].row:
        keep_rows(names[0], names[1:])
        return
    if unknown := set(names) - set(PARTS):
        sys.exit(f"'{unknown.pop()}' is no part; known: {', '.join([*PARTS, 'gpu'])}.")
    for name in names or [part for part in PARTS if part not in HOURS]:
        if PARTS[name].row:
            keep_rows(name)
            continue
        results = json.loads((FOLDER / "RESULTS.json").read_text())
        figures = list(PARTS[name].measured())
        results[name] = {"machine": machine(), "commit": commit(), "figures": figures}
        keep(results)
        print("\n".join(section(name, results[name])), flush=True)


def keep_rows(part: str, names: Sequence[str] = ()) -> None:
    """Measure these rows of a part, and keep each as soon as it is there."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that trainings hear of it
    for row in PARTS[part].measured(names):
        keep_row(part, row)
        print(f"kept {part}: {row[PARTS[part].row or '']}", flush=True)


def keep(results: dict[str, Any]) -> None:
    write_json(FOLDER / "RESULTS.json", results)
    (FOLDER / "RESULTS.md").write_text(rendered(results))


def keep_row(part: str, row: Row) -> None:
    """Put a row of a part in the place of the former one; the part names the commits of all its rows."""
    results, key = json.loads((FOLDER / "RESULTS.json").read_text()), PARTS[part].row
    assert key
    former = results.get(part, {"commit": commit(), "figures": []})
    rows = {known[key]: {"commit": former["commit"]} | known for known in former["figures"]}
    rows[row[key]] = {"commit": commit()} | row
    commits = sorted({one for known in rows.values() for one in known["commit"].split(", ")})
    results[part] = {"machine": machine(), "commit": ", ".join(commits), "figures": list(rows.values())}
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
        if PARTS[part].table is speed_table and part in before and part in after and before[part] != after[part]:
            former = {row["what"]: row for row in before[part]["figures"]}
            found += [(former[row["what"]], row) for row in after[part]["figures"] if row["what"] in former]
    return found


def rendered(results: dict[str, Any]) -> str:
    """RESULTS.md."""
    return "\n\n".join("\n".join(section(name, results[name], results)) for name in PARTS if name in results) + "\n"


def section(name: str, result: dict[str, Any], results: Mapping[str, Any] | None = None) -> list[str]:
    """The lines of a part; `results` are those of all parts."""
    part = PARTS[name]
    others = [(results or {}).get(part.beside, {}).get("figures", [])] if part.beside else []
    measured = f"`python -m tests.benchmarks {name}` on {result['machine']}, commit {result['commit']}. {part.meaning}"
    return [f"# {part.title}", "", measured, "", *part.table(result["figures"], *others)]


def machine() -> str:
    cores = f"{os.cpu_count()} cores ({platform.machine()})"
    return f"{cores}, Python {platform.python_version()}, torch {torch.__version__}"


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=FOLDER)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    main(sys.argv[1:])
