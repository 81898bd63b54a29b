"""Figures as lines of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.benchmarks.quality_rows import ROWS

Row = dict[str, Any]


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


def configurations_table(rows: list[Row]) -> list[str]:
    lines = ["| configuration | data | steps trained | samples drawn |", "| --- | --- | --- | --- |"]
    return lines + [f"| `{row['configuration']}` | {row['data']} | {row['steps']} | {row['samples']} |" for row in rows]


def quality_table(rows: list[Row]) -> list[str]:
    """A line for each metric of a row, and one for each seed that failed; in the order of ROWS."""
    places = {row.row: place for place, row in enumerate(ROWS)}
    rows = sorted(rows, key=lambda row: places.get(row["row"], len(places)))
    titles = ("row", "metric", "worst seed", "seeds", "floor", "baseline", "wanted", "reached", "minutes", "commit")
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for row in rows:
        settings = "".join(f"<br>`{setting}`" for setting in row["overrides"])
        first = [f"**{row['row']}**: `{row['configuration']}`{settings}", row["minutes"], row["commit"]]
        for line in row["metrics"]:
            cells = [line[key] for key in ("metric", "worst", "seeds", "floor", "baseline", "wanted", "reached")]
            lines.append(f"| {first[0]} | {' | '.join(cells)} | {first[1]} | {first[2]} |")
            first = ["", "", ""]
        for seed, reason in row["failed"].items():
            lines.append(f"| {first[0]} | seed {seed} failed: {reason.replace('|', '/')} |" + " |" * (len(titles) - 2))
            first = ["", "", ""]
    return lines


def peers_table(rows: list[Row], quality: Sequence[Row] = ()) -> list[str]:
    """A line for each metric of a row, beside all seeds of the compared row among those of `quality`; or why there is
    none.
    """
    ours = {(row["row"], line["metric"]): line["seeds"] for row in quality for line in row["metrics"]}
    titles = ["row", "metric", "value", "genlib", "genlib's seeds", "floor", "baseline"]
    titles += ["minutes", "steps", "images/s", "commits"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for row in rows:
        settings = "".join(f"<br>`{setting}`" for setting in row["settings"])
        first = [f"**{row['row']}**: [{row['what']}]({row['peer']}){settings}", f"`{row['beside']}`"]
        last = [row["minutes"], str(row["steps"]), str(row["images_per_second"])]
        last.append(f"{row['commit']}; its {row['peer_commit']}")
        for line in row["metrics"]:
            metric = line["metric"] if line["sampler"] == "samples" else f"{line['metric']}, {line['sampler']}"
            seeds = ours.get((row["beside"], line["metric"]), "-")
            cells = [first[0], metric, line["value"], first[1], seeds, line["floor"], line["baseline"], *last]
            lines.append(f"| {' | '.join(cells)} |")
            first, last = ["", ""], ["", "", "", ""]
        if row["failed"]:
            cells = [first[0], f"failed: {row['failed'].replace('|', '/')}", "", first[1], "", "", "", *last]
            lines.append(f"| {' | '.join(cells)} |")
    return lines
