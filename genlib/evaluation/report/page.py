"""An evaluation as report.html: one file that asks nothing of the network, for a reviewer's eyes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from genlib.config.metrics import direction_of, metrics
from genlib.evaluation.report.figures import ReportFigures, image_sections, section
from genlib.evaluation.report.plots import Plot, detail_plots, number, scatter, training_curves

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2127; --ink-soft: #5b6471; --line: #dfe3e8;
  --first: #2a6fb0; --second: #d0691f; --good: #1d7a45; --bad: #b3362b; --warn: #fdf4e3; --warn-line: #e2b04a; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e5e8ec; --ink-soft: #9aa4b1; --line: #2e353d;
    --first: #6cabe6; --second: #ef9a57; --good: #62c48c; --bad: #ef8379; --warn: #2d2617; --warn-line: #8a6a24; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 3rem 1.25rem 4rem; max-width: 1104px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 1.9rem; font-weight: 650; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.9rem; padding-top: 1.1rem; border-top: 1px solid var(--line); font-size: 1.15rem; font-weight: 620; }
h1 + p { margin: 0.4rem 0 0; color: var(--ink-soft); }
section { margin-top: 2.4rem; }
.warnings { margin-top: 1.6rem; padding: 0.7rem 1rem; background: var(--warn);
  border-left: 3px solid var(--warn-line); }
.warnings ul { margin: 0; padding-left: 1.1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.metrics { width: 100%; }
.metrics th, .metrics td { padding: 0.4rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; }
.metrics thead th { color: var(--ink-soft); font-weight: 500; font-size: 0.87rem; vertical-align: bottom; }
.metrics th:first-child, .metrics td.mark, .metrics td.way { text-align: left; }
.metrics th:first-child { padding-left: 0; white-space: normal; }
.metrics tbody th { font-weight: 600; }
.metrics small { display: block; color: var(--ink-soft); font-weight: 400; font-size: 0.82rem; line-height: 1.35; }
.metrics thead th:last-child { text-align: left; }
.metrics td.mark { padding-left: 0; }
.error, .none, .way, .equal { color: var(--ink-soft); }
.better { color: var(--good); } .worse { color: var(--bad); }
figure { margin: 0; break-inside: avoid; }
figcaption, .note { max-width: 46rem; margin: 0.6rem 0 0; color: var(--ink-soft); font-size: 0.88rem; }
.pictures { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1rem 2rem; }
img { display: block; max-width: 100%; height: auto; image-rendering: pixelated; }
svg { display: block; max-width: 100%; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1.4rem 1rem; }
.curves figcaption { margin: 0 0 0.2rem; color: var(--ink); font-weight: 550; overflow-wrap: anywhere; }
.curves small { color: var(--ink-soft); font-weight: 400; }
.rows th { padding: 0 1rem 0 0; text-align: right; font-weight: 600; white-space: nowrap; }
.rows small { display: block; color: var(--ink-soft); font-weight: 400; }
.rows td { padding: 0; }
.rows thead td { display: flex; justify-content: space-between; color: var(--ink-soft); font-size: 0.85rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.15rem 1.1rem; margin: 0; }
dt { color: var(--ink-soft); } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
dd > dl { padding-left: 0.8rem; border-left: 2px solid var(--line); }
section > dl { gap: 0.45rem 1.4rem; font-size: 0.92rem; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } section { margin-top: 1.4rem; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } * { print-color-adjust: exact; } }
"""
# Nothing may be asked of the network, whatever a later hand puts into the page.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

MARKS = {"better": "▲ better", "worse": "▼ worse", "equal": "= equal", "": ""}


def report_page(
    title: str,
    evaluation: dict[str, Any],
    figures: ReportFigures,
    log: list[dict[str, float]],
    champion: dict[str, Any] | None,
) -> str:
    """The whole page as HTML text, the same for the same input.

    `evaluation` is evaluation.json's content, `log` the lines of metrics.jsonl, `champion` its model, version and
    metrics. A section without data is left out.
    """
    values, details = evaluation.get("metrics", {}), evaluation.get("details", {})
    provenance = dict(evaluation.get("provenance", {}))
    warnings = provenance.pop("warnings", None) or []
    sections = [
        metrics_table(values, champion),
        baselines_table(details.get("baselines") or {}),
        *image_sections(figures, details.get("kl_per_dimension") or []),
        points_section(figures),
        curves_section(training_curves(log)),
        *[plot_section(plot) for plot in detail_plots(details, values)],
        section("Provenance", facts(provenance)),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<header><h1>{escape(title)}</h1><p>{escape(summary(values, log, champion))}</p></header>",
            warning_box(warnings),
            *filter(None, sections),
            "</body></html>\n",
        ]
    )


def warning_box(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<div class="warnings" role="note" aria-label="Warnings"><ul>{items}</ul></div>' if items else ""


def summary(
    values: Mapping[str, Mapping[str, Any]], log: list[dict[str, float]], champion: dict[str, Any] | None
) -> str:
    """One line: how long it was trained, and how it stands to the champion."""
    parts = []
    if log:
        last = log[-1]
        parts += [f"{last[name]:,} {unit}" for name, unit in (("step", "steps"), ("images", "images")) if name in last]
        if "seconds" in last:
            parts.append(f"trained in {duration(last['seconds'])}")
    if champion:
        against = champion["metrics"]
        marks = [standing(name, entry["value"], against[name]) for name, entry in values.items() if name in against]
        known = [mark for mark in marks if mark]
        parts.append(
            f"better than champion version {champion['version']} in {known.count('better')} of {len(known)} metrics"
        )
    else:
        parts.append("no champion to compare with")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def standing(name: str, value: float | None, other: float | None) -> str:
    """Whether a value of this metric is better or worse than another, or equal; "" where that is not known."""
    direction = direction_of(name)
    if direction is None or value is None or other is None or not (math.isfinite(value) and math.isfinite(other)):
        return ""
    if value == other:
        return "equal"
    return "better" if (value > other) == (direction == "higher") else "worse"


def meaning(name: str) -> str:
    """The metric's line in the report; "" for one of a plugin that is not installed."""
    return metrics()[name].meaning if name in metrics() else ""


def metrics_table(values: Mapping[str, Mapping[str, Any]], champion: dict[str, Any] | None) -> str:
    if not values:
        return ""
    rival, against = "", None
    if champion:
        rival = f'<th colspan="2">champion<br>{escape(str(champion["model"]))} {escape(str(champion["version"]))}</th>'
        against = champion["metrics"]
    known = any(entry.get("baseline") is not None for entry in values.values())
    beside = "<th>baseline</th>" if known else ""
    head = f"<th>metric</th><th>value</th><th>real-data floor</th>{beside}{rival}<th>images</th><th>better</th>"
    rows = "".join(metric_row(name, entry, against, known) for name, entry in values.items())
    caption = (
        "± is the standard deviation over sampling seeds, [±] the standard error of one seed's value. The floor is "
        "what held-out images score in the samples' place: with as many samples a perfect model reaches it."
    )
    if known:
        caption += " The baseline is a Gaussian mixture of train images, sampled and scored as the model is."
    if champion:
        caption += " ▲ better and ▼ worse say how this run stands to the champion."
    table = (
        f'<div class="wide"><table class="metrics"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return section("Metrics", table, caption)


def baselines_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Metrics of samples, of their averages and of images that need no model, side by side."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "<th>images</th>" + "".join(f"<th><code>{escape(name)}</code></th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(what)}</th>" + "".join(f"<td>{number(row.get(name))}</td>" for name in names) + "</tr>"
        for what, row in rows.items()
    )
    table = (
        f'<div class="wide"><table class="metrics"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
    caption = "Samples of the model for conditions, and images that need no model, scored alike."
    return section("Beside baselines", table, caption) if rows else ""


def metric_row(name: str, entry: Mapping[str, Any], against: Mapping[str, float] | None, baseline: bool) -> str:
    spread, error = entry.get("std"), entry.get("standard_error")
    errors = f" ± {number(spread, 2)}" if spread is not None else ""
    errors += f" [± {number(error, 2)}]" if error is not None else ""
    beside = f"<td>{number(entry.get('baseline'))}</td>" if baseline else ""
    rival = ""
    if against is not None:
        mark = standing(name, entry["value"], against.get(name))
        rival = f'<td>{number(against.get(name))}</td><td class="mark {mark}">{MARKS[mark]}</td>'
    return (
        f"<tr><th><code>{escape(name)}</code><small>{escape(meaning(name))}</small></th>"
        f'<td>{number(entry["value"])}<span class="error">{errors}</span></td><td>{number(entry.get("floor"))}</td>'
        f'{beside}{rival}<td>{number(entry.get("count"))}</td><td class="way">{direction_of(name) or "–"}</td></tr>'
    )


def points_section(figures: ReportFigures) -> str:
    if figures.points is None:
        return ""
    real = figures.real_points
    return plot_section(scatter(figures.points.double().numpy(), None if real is None else real.double().numpy()))


def plot_section(plot: Plot) -> str:
    return section(plot.heading, plot.svg, escape(plot.caption))


def curves_section(curves: Sequence[Plot]) -> str:
    figures = "".join(
        f"<figure><figcaption>{escape(heading)} <small>{escape(caption)}</small></figcaption>{svg}</figure>"
        for heading, svg, caption in curves
    )
    note = (
        "Each part of the loss by training step; pale as logged, dark its running mean. Dots: evaluations on the way."
    )
    return section("Training", f'<div class="curves">{figures}</div><p class="note">{note}</p>' if figures else "")


def facts(value: Any) -> str:
    """JSON as nested definition lists; "" for an empty one."""
    if isinstance(value, Mapping):
        items = "".join(f"<dt>{escape(str(name))}</dt><dd>{facts(part) or '–'}</dd>" for name, part in value.items())
        return f"<dl>{items}</dl>" if items else ""
    if isinstance(value, list | tuple):
        nested = any(isinstance(part, Mapping | list | tuple) for part in value)
        return facts(dict(enumerate(value, 1))) if nested else ", ".join(map(facts, value))
    return "–" if value is None else escape(str(value))
