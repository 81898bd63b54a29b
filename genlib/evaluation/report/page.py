"""An evaluation as report.html: one file that asks nothing of the network, for a reviewer's eyes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from genlib.config.metrics import METRICS
from genlib.evaluation.report.pictures import Exhibits, image_sections, section
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
MEANINGS = {
    "precision": "share of samples that lie among the real images",
    "recall": "share of real images that lie among the samples",
    "density": "how densely real images surround the samples; 1 as among themselves",
    "coverage": "share of real images with a sample nearby",
    "authpct": "% of samples that are no copies of training images, as far as features tell",
    "nn_distance_train": "mean distance to the nearest training image",
    "nn_distance_held_out": "mean distance to the nearest held-out image",
    "nearer_to_train": "share of samples nearer to training than to as many held-out images; 0.5 copies nothing",
    "class_kl": "KL(samples || data), nats: the samples' classes by the evaluation's classifier, the data's by the "
    "labels of the train split",
    "modes": "classes, or Gaussians of a mixture, that the samples reach",
    "label_accuracy": "share of samples whose class, by the classifier, is the label that was asked for",
    "energy_distance": "distance of the samples' distribution to the data's; unbiased, so it may fall below 0",
    "log_density": "the samples' mean log density under the data, nats; below the floor they lie where the data do not",
    "high_quality": "share of samples within three standard deviations of a Gaussian's centre",
    "reverse_kl": "KL(samples || data) over the Gaussians, nats; every sample counts at its nearest one",
    "reverse_kl_high_quality": "the same of the samples within three standard deviations alone",
    "elbo": "lower bound on the log-likelihood, nats per image",
    "log_likelihood": "importance-weighted bound, nats per image",
    "bits_per_dim": "bits per channel of a pixel",
    "reconstruction": "expected negative log-likelihood of the pixels, nats per image",
    "kl": "from posterior to prior, nats per image",
    "active_units": "latent dimensions in use",
    "psnr": "of reconstructions, decibels, mean over images; an equal image has 58.9, the ratio of rounding to uint8",
    "ssim": "structural similarity of reconstructions, up to 1, over windows inside the image",
    "condition_psnr": "of samples to the image that was given in part, decibels; at most 58.9",
    "condition_ssim": "structural similarity of samples to the image that was given in part, up to 1",
    "condition_error": "how far samples are from what was given, grey levels of 255",
    "condition_diversity": "standard deviation of a pixel among samples of the same, grey levels of 255",
    "caption_classes": "share of images drawn for captions that show what these name, and nothing else",
    "caption_places": "share of them where all stands as the caption says, of captions that say where",
    "caption_looks": "share of the captions' words for looks that hold, where what is named is there",
    "caption_perplexity": "of a word of held-out captions, given those before it",
    "fd_pairs": "Fréchet distance of features of what was given beside the sample's, to those with the true image",
}


def report_page(
    title: str,
    evaluation: dict[str, Any],
    exhibits: Exhibits,
    log: list[dict[str, float]],
    champion: dict[str, Any] | None,
) -> str:
    """The whole page as HTML text, the same for the same input.

    `evaluation` is evaluation.json's content, `log` the lines of metrics.jsonl, `champion` its model, version and
    metrics. A section without data is left out.
    """
    metrics, details = evaluation.get("metrics", {}), evaluation.get("details", {})
    provenance = dict(evaluation.get("provenance", {}))
    warnings = provenance.pop("warnings", None) or []
    sections = [
        metrics_table(metrics, champion),
        baselines_table(details.get("baselines") or {}),
        *image_sections(exhibits, details.get("kl_per_dimension") or []),
        points_section(exhibits),
        curves_section(training_curves(log)),
        *[plot_section(plot) for plot in detail_plots(details, metrics)],
        section("Provenance", facts(provenance)),
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<header><h1>{escape(title)}</h1><p>{escape(summary(metrics, log, champion))}</p></header>",
            warning_box(warnings),
            *filter(None, sections),
            "</body></html>\n",
        ]
    )


def warning_box(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<div class="warnings" role="note" aria-label="Warnings"><ul>{items}</ul></div>' if items else ""


def summary(
    metrics: Mapping[str, Mapping[str, Any]], log: list[dict[str, float]], champion: dict[str, Any] | None
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
        marks = [verdict(name, entry["value"], against[name]) for name, entry in metrics.items() if name in against]
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


def verdict(name: str, value: float | None, other: float | None) -> str:
    """How a value of this metric stands to another: better, worse or equal; "" where that is not known."""
    direction = METRICS.get(name)
    if direction is None or value is None or other is None or not (math.isfinite(value) and math.isfinite(other)):
        return ""
    if value == other:
        return "equal"
    return "better" if (value > other) == (direction == "higher") else "worse"


def meaning(name: str) -> str:
    if name in MEANINGS:
        return MEANINGS[name]
    if name.startswith("rf"):
        return f"Fréchet distance of reconstructions to their originals, {features_of(name[1:])} features"
    base = name.removesuffix("_infinity")
    if base.startswith("fd_") or base == "fid":
        endless = ", extrapolated to endless samples" if base != name else ""
        return f"Fréchet distance of {features_of(base)} features{endless}"
    if base.startswith("kd_") or base == "kid":
        return f"kernel distance of {features_of(base)} features; unbiased, so it may fall below 0"
    return ""


def features_of(distance: str) -> str:
    return "Inception" if distance in ("fid", "kid") else distance[3:]


def metrics_table(metrics: Mapping[str, Mapping[str, Any]], champion: dict[str, Any] | None) -> str:
    if not metrics:
        return ""
    rival, against = "", None
    if champion:
        rival = f'<th colspan="2">champion<br>{escape(str(champion["model"]))} {escape(str(champion["version"]))}</th>'
        against = champion["metrics"]
    head = f"<th>metric</th><th>value</th><th>real-data floor</th>{rival}<th>images</th><th>better</th>"
    rows = "".join(metric_row(name, entry, against) for name, entry in metrics.items())
    caption = (
        "± is the standard deviation over sampling seeds, [±] the standard error of one seed's value. The floor is "
        "what held-out images score in the samples' place: with as many samples a perfect model reaches it."
    )
    if champion:
        caption += " ▲ better and ▼ worse say how this run stands to the champion."
    table = (
        f'<div class="wide"><table class="metrics"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return section("Metrics", table, caption)


def baselines_table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """What was measured of samples, of their averages and of images that need no model, side by side."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "<th>images</th>" + "".join(f"<th><code>{escape(name)}</code></th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(what)}</th>" + "".join(f"<td>{number(row.get(name))}</td>" for name in names) + "</tr>"
        for what, row in rows.items()
    )
    table = (
        f'<div class="wide"><table class="metrics"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
    caption = "What the model draws of what is given, and what is there without it, judged alike."
    return section("Beside baselines", table, caption) if rows else ""


def metric_row(name: str, entry: Mapping[str, Any], against: Mapping[str, float] | None) -> str:
    spread, error = entry.get("std"), entry.get("standard_error")
    errors = f" ± {number(spread, 2)}" if spread is not None else ""
    errors += f" [± {number(error, 2)}]" if error is not None else ""
    rival = ""
    if against is not None:
        mark = verdict(name, entry["value"], against.get(name))
        rival = f'<td>{number(against.get(name))}</td><td class="mark {mark}">{MARKS[mark]}</td>'
    return (
        f"<tr><th><code>{escape(name)}</code><small>{escape(meaning(name))}</small></th>"
        f'<td>{number(entry["value"])}<span class="error">{errors}</span></td><td>{number(entry.get("floor"))}</td>'
        f'{rival}<td>{number(entry.get("count"))}</td><td class="way">{METRICS.get(name, "–")}</td></tr>'
    )


def points_section(exhibits: Exhibits) -> str:
    if exhibits.points is None:
        return ""
    real = exhibits.real_points
    return plot_section(scatter(exhibits.points.double().numpy(), None if real is None else real.double().numpy()))


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
