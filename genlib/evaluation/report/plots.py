"""Figures and pictures of a report, inline: the same input gives the same bytes, and no two figures share an id.

Ink, lines and series take the page's CSS variables of those names, so that they follow its colour scheme.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from genlib.pixels.pictures import grid

Array = NDArray[np.float64]

INK, LINE, FIRST, SECOND = "#5b6471", "#dfe3e8", "#2a6fb0", "#d0691f"
VARIABLES = {INK: "ink-soft", LINE: "line", FIRST: "first", SECOND: "second"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be called $
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "legend.frameon": False,
    "errorbar.capsize": 2.5,
}
SMALL, WIDE, SQUARE = (3.4, 2.1), (7.2, 2.6), (5.0, 5.0)  # inches
LARGEST = 1e30  # what lies beyond is a diverged run's, and no axis can hold it
SHOWN_POINTS = 2000
SHOWN_NAMES = 30
ACTIVE_NATS = 0.01
TILE = 64  # pixels that a small image is enlarged to
PAGE_WIDTH = 1064  # pixels of a line of pictures
COUNTERS = ("step", "images", "seconds", "images_per_second")


class Plot(NamedTuple):
    heading: str
    svg: str  # "" where there is nothing finite to draw
    caption: str  # plain text: how to read it


def drawn(name: str, alt: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """The drawing of `draw` as an `<svg>` element; `name` is unique in the page and begins every id."""
    buffer = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)


def number(value: float | None, digits: int = 4) -> str:
    """The value with so many significant digits; NaN and infinity in words."""
    if value is None or math.isnan(value):
        return "–" if value is None else "not a number"
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    if isinstance(value, int) or value == 0:
        text = f"{value:,.0f}"
    elif 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
    else:
        text = f"{value:.{digits - 1}e}"
    return text.replace("-", "−")


def finite(values: Sequence[float | None]) -> Array:
    """Numbers, NaN in the place of all that no axis can hold."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.abs(numbers) <= LARGEST, numbers, np.nan)


def columns_of(lines: Sequence[Mapping[str, Any]], *names: str) -> list[Array]:
    """The finite values of these names, NaN where a line has none."""
    return [finite([line.get(name) for line in lines]) for name in names]


def training_curves(log: Sequence[Mapping[str, float]]) -> list[Plot]:
    """A small figure for each loss part and each metric of the evaluations during training, in the log's order."""
    names = dict.fromkeys(name for line in log for name in line if name not in COUNTERS)
    ordered = sorted(names, key=lambda name: name.startswith("evaluation/"))
    return [training_curve(f"curve-{place}", name, log) for place, name in enumerate(ordered)]


def training_curve(identity: str, name: str, log: Sequence[Mapping[str, float]]) -> Plot:
    steps, values = columns_of([line for line in log if name in line], "step", name)
    known = ~np.isnan(steps) & ~np.isnan(values)
    lost = len(values) - int(known.sum())
    caption = f"{lost} of {len(values)} values are not finite" if lost else ""
    if lost == len(values):
        return Plot(name, "", caption)
    steps, values = steps[known], values[known]
    marked = name.startswith("evaluation/") or len(values) < 3
    window = 0 if marked else len(values) // 25

    def draw(axes: Axes) -> None:
        axes.plot(steps, values, "o-" if marked else "-", color=FIRST, alpha=0.35 if window > 1 else 1)
        if window > 1:
            axes.plot(steps, running_mean(values, window), color=FIRST)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if wants_log_scale(values):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(10, numticks=6))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))

    alt = f"{name} against the training step; the last value is {number(float(values[-1]))}."
    return Plot(name, drawn(identity, alt, SMALL, draw), caption)


def wants_log_scale(values: Array) -> bool:
    """Whether a linear axis would squash most of the values into one line."""
    return bool(values.min() > 0 and values.max() > 100 * np.quantile(values, 0.25))


def running_mean(values: Array, window: int) -> Array:
    """Mean of `window` values around each, of fewer at the ends."""
    weights = np.ones(window)
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def detail_plots(details: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """A figure for each of evaluation.json's details that has one."""
    plots = []
    if details.get("class_histogram", {}).get("names"):
        classes = details["class_histogram"]
        plots.append(class_histogram(classes["names"], classes["samples"], classes["data"]))
    if details.get("log_likelihood_curve"):
        plots.append(log_likelihood_curve(details["log_likelihood_curve"]))
    if details.get("kl_per_dimension"):
        plots.append(kl_per_dimension(details["kl_per_dimension"]))
    if details.get("frechet_by_samples"):
        ends = [entry["value"] for name, entry in metrics.items() if name.endswith("_infinity")]
        plots.append(frechet_by_samples(details["frechet_by_samples"], ends[0] if ends else None))
    return plots


def class_histogram(names: Sequence[str], samples: Sequence[float], data: Sequence[float]) -> Plot:
    """Shares of the classes, 0 to 1, among the samples and in the data."""
    positions = np.arange(len(names))

    def draw(axes: Axes) -> None:
        axes.bar(positions - 0.2, 100 * np.nan_to_num(finite(samples)), 0.38, color=FIRST, label="samples")
        axes.bar(positions + 0.2, 100 * np.nan_to_num(finite(data)), 0.38, color=SECOND, label="data")
        axes.set_ylabel("share, %")
        axes.grid(axis="x", visible=False)
        axes.margins(x=0.02)
        axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
        axes.set_xlabel("class")
        if len(names) <= SHOWN_NAMES:
            long = sum(map(len, names)) > 80
            axes.set_xticks(positions, list(names), rotation=40 if long else 0, ha="right" if long else "center")

    caption = "How often the classifier sees each class; bars of equal height mean that no class is missed or favoured."
    return Plot("Classes", drawn("classes", caption, WIDE, draw), caption)


def log_likelihood_curve(points: Sequence[Mapping[str, Any]]) -> Plot:
    """The bound on the log-likelihood, with its standard error, against the number of importance samples."""
    k, values, errors = columns_of(points, "k", "value", "standard_error")

    def draw(axes: Axes) -> None:
        axes.errorbar(k, values, yerr=np.nan_to_num(errors), fmt="o-", color=FIRST)
        axes.set_xscale("log")
        axes.set_xticks(k, [f"{size:,.0f}" for size in k])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="importance samples", ylabel="log-likelihood, nats per image")

    caption = (
        "Each point is a lower bound, ± its standard error over the test images; more samples tighten it, and a curve "
        "that still rises at its end has not reached the log-likelihood."
    )
    return Plot("Log-likelihood by importance samples", drawn("likelihood", caption, WIDE, draw), caption)


def kl_per_dimension(nats: Sequence[float | None]) -> Plot:
    values = np.nan_to_num(finite(nats))

    def draw(axes: Axes) -> None:
        axes.bar(np.arange(len(values)), values, 0.8, color=FIRST)
        axes.set(xlabel="latent dimension", ylabel="KL, nats")
        axes.grid(axis="x", visible=False)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(16, integer=True, steps=[1, 2, 4, 5, 10]))

    caption = (
        f"Information of each latent dimension about an image, on average; {(values > ACTIVE_NATS).sum()} of "
        f"{len(values)} carry more than {ACTIVE_NATS} nats, the others have collapsed to the prior."
    )
    return Plot("KL per latent dimension", drawn("kl", caption, WIDE, draw), caption)


def frechet_by_samples(points: Sequence[Mapping[str, Any]], end: float | None) -> Plot:
    """Fréchet distances of N samples against 1/N, their straight line, and its end (Chong & Forsyth 2020)."""
    counts, values = columns_of(points, "samples", "value")
    known = ~np.isnan(values) & (counts > 0)
    inverse, values = 1 / counts[known], values[known]

    def draw(axes: Axes) -> None:
        if len(np.unique(inverse)) > 1:
            slope, height = np.polyfit(inverse, values, 1)
            reach = np.array([0, inverse.max()])
            axes.plot(reach, height + slope * reach, color=FIRST, alpha=0.45)
        axes.plot(inverse, values, "o", color=FIRST)
        axes.plot(0, finite([end])[0], "D", color=SECOND, markersize=6, clip_on=False, zorder=3)
        parts = inverse.max() * np.array([0, 0.25, 0.5, 1]) if len(inverse) else []
        ticks = sorted({inverse[np.abs(inverse - part).argmin()] for part in parts})
        axes.set_xticks([0, *ticks], ["∞", *(f"{1 / tick:,.0f}" for tick in ticks)])
        axes.set_xlim(left=0)
        axes.set(xlabel="samples N, spaced as 1/N", ylabel="Fréchet distance")

    caption = (
        "Few samples make the distance too large, by about a constant over N: the straight line takes that away and "
        f"meets the left edge at endless samples. The diamond is the reported value there, {number(end)}."
    )
    return Plot("Fréchet distance by samples", drawn("frechet", caption, WIDE, draw), caption)


def scatter(points: Array, real_points: Array | None) -> Plot:
    """Samples (N, 2) over the data (M, 2), whose extent and a quarter of it on every side is the frame."""
    real = None if real_points is None else real_points[np.isfinite(real_points).all(1)]
    points = points[(np.abs(points) <= LARGEST).all(1)]
    of_frame = points if real is None or not len(real) else real
    low, high = (of_frame.min(0), of_frame.max(0)) if len(of_frame) else (np.zeros(2), np.ones(2))
    margin = np.maximum((high - low) / 4, 1e-6)
    low, high = low - margin, high + margin

    def draw(axes: Axes) -> None:
        for kind, colour, label in ((real, SECOND, "data"), (points, FIRST, "samples")):
            if kind is not None:
                first = kind[:SHOWN_POINTS]
                axes.plot(*first.T, ".", color=colour, alpha=0.5, markersize=3.5, markeredgewidth=0, label=label)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, markerscale=3)

    outside = int((~((points >= low) & (points <= high)).all(1)).sum())
    caption = (
        f"At most {SHOWN_POINTS:,} of each kind; samples should lie where the data lie, and as densely."
        f" {outside:,} of all {len(points):,} finite samples lie outside the frame."
    )
    return Plot("Samples in the plane", drawn("scatter", caption, SQUARE, draw), caption)


def in_a_line(images: Tensor) -> int:
    """Number of images (N, C, H, W) in one line, so that the lines are equal if that costs little."""
    count, _, height, width = images.shape
    fitting = max(1, PAGE_WIDTH // (width * max(1, -(-TILE // max(height, width))) + 2))
    equal = max(columns for columns in range(1, min(fitting, count) + 1) if count % columns == 0)
    return equal if 2 * equal > min(fitting, count) else min(fitting, count)


def image(images: Tensor, columns: int, alt: str, gap_after_first: int = 0) -> str:
    """uint8 (..., C, H, W) => a grid as an `<img>`, transparent between the images; `gap_after_first`: pixels."""
    images = images.flatten(end_dim=-4)
    colours, gaps = grid(images, columns, TILE), grid(torch.zeros_like(images), columns, TILE)
    picture = torch.cat([colours, 255 - gaps[:1]])  # (4, height, width)
    if gap_after_first:
        first = (picture.shape[2] - 2) // columns
        spacer = picture.new_zeros(4, picture.shape[1], gap_after_first)
        picture = torch.cat([picture[:, :, :first], spacer, picture[:, :, first:]], dim=2)
    buffer = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    _, height, width = picture.shape
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}" width="{width}" height="{height}">'
