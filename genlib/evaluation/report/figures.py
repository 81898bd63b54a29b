"""The pictures of a report, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from torch import Tensor

from genlib.evaluation.report.plots import image, in_a_line, number


@dataclass(frozen=True)
class ReportFigures:
    """Pictures of a report, uint8 on the CPU; None where there is nothing to show."""

    samples: Tensor | None = None  # (N, C, H, W)
    baseline: Tensor | None = None  # (N, C, H, W): samples of the baseline
    by_label: Tensor | None = None  # (rows, labels, C, H, W): samples of each label
    labels: tuple[str, ...] = ()  # their names
    nearest: Tensor | None = None  # (n, 1 + k, C, H, W): a sample, then its k nearest training images by features
    of_contexts: Tensor | None = None  # (rows, 2 + n, C, H, W): a condition, n samples for it, the true image
    captions: tuple[str, ...] = ()  # in the place of pictures of conditions, (rows, n + 1, C, H, W) then
    reconstructions: Tensor | None = None  # (n, 2, C, H, W): an original of the test split, its reconstruction
    interpolations: Tensor | None = None  # (rows, steps, C, H, W): between two latents
    traversals: Tensor | None = None  # (dimensions, steps, C, H, W): one latent dimension moved from -3 to 3
    traversed: tuple[int, ...] = ()  # which dimensions these are
    points: Tensor | None = None  # (N, 2) float, samples of 2-D data
    real_points: Tensor | None = None  # (N, 2) float


def image_sections(figures: ReportFigures, nats: Sequence[float]) -> list[str]:
    """A section for each kind of picture, with how to read it; `nats` are the KL of the latent dimensions."""
    sections = []
    if figures.samples is not None:
        caption = "Drawn at random, not chosen."
        picture = image(figures.samples, in_a_line(figures.samples), f"{len(figures.samples)} random samples")
        sections.append(section("Samples", picture, caption))
    if figures.baseline is not None:
        caption = "Drawn at random from the baseline, a Gaussian mixture of train images."
        picture = image(figures.baseline, in_a_line(figures.baseline), "Samples of a Gaussian mixture")
        sections.append(section("Baseline", picture, caption))
    if figures.by_label is not None:
        names = ", ".join(figures.labels)
        caption = f"Each column is of one label, from the left: {escape(names)}. Drawn at random, not chosen."
        picture = image(figures.by_label, figures.by_label.shape[1], f"Samples of the labels {names}")
        sections.append(section("Samples by label", picture, caption))
    if figures.of_contexts is not None and figures.captions:
        sections.append(of_captions(figures.of_contexts, figures.captions))
    elif figures.of_contexts is not None:
        caption = (
            "Each row: the condition that an image of the test split gives, samples for it, and the image itself. "
            "Drawn at random, not chosen."
        )
        columns, rows = figures.of_contexts.shape[1], figures.of_contexts.split(8)
        pictures = [image(part, columns, "Conditions, samples for them, and the true images", 14) for part in rows]
        sections.append(section("Samples for conditions", side_by_side(pictures), caption))
    if figures.nearest is not None:
        caption = (
            "First column: a sample. Right of it: the training images nearest to it by features, nearest first. "
            "A copied training image shows as a twin."
        )
        parts = figures.nearest.split(8)
        pictures = [
            image(part, part.shape[1], "Samples, each beside its nearest training images", 14) for part in parts
        ]
        sections.append(section("Nearest training images", side_by_side(pictures), caption))
    if figures.reconstructions is not None:
        caption = "Above: an image of the test split. Below it: its reconstruction."
        parts = figures.reconstructions.split(in_a_line(figures.reconstructions[:, 0]))
        pictures = [image(part.transpose(0, 1), len(part), "Test images above their reconstructions") for part in parts]
        sections.append(section("Reconstructions", side_by_side(pictures), caption))
    if figures.interpolations is not None:
        caption = "Each row goes from one latent on the left to another on the right; good ones change step by step."
        steps = figures.interpolations.shape[1]
        picture = image(figures.interpolations, steps, "Interpolations between pairs of latents, a row each")
        sections.append(section("Interpolations", picture, caption))
    if figures.traversals is not None:
        sections.append(traversals(figures.traversals, figures.traversed, nats))
    return sections


def of_captions(images: Tensor, captions: Sequence[str]) -> str:
    """(rows, n + 1, C, H, W), each row beside its caption."""
    rows = "".join(
        f"<tr><th>{escape(text)}</th><td>{image(row, len(row), f'Samples of: {text}, and its image')}</td></tr>"
        for text, row in zip(captions, images, strict=True)
    )
    caption = "Each row: samples of a caption of the test split, and the image that it was written for, last."
    return section("Samples of captions", f'<table class="rows"><tbody>{rows}</tbody></table>', caption)


def traversals(images: Tensor, dimensions: Sequence[int], nats: Sequence[float]) -> str:
    """(dimensions, steps, C, H, W) as rows, each with its dimension's number and KL."""
    rows = ""
    for place, row in enumerate(images):
        dimension = dimensions[place] if place < len(dimensions) else None
        label = alt = "–" if dimension is None else f"dimension {dimension}"
        if dimension is not None and dimension < len(nats):
            label += f"<small>{number(nats[dimension], 2)} nats</small>"
        picture = image(row, len(row), f"Traversal of {alt}")
        rows += f"<tr><th>{label}</th><td>{picture}</td></tr>"
    head = "<thead><tr><th></th><td><span>−3</span><span>0</span><span>3</span></td></tr></thead>"
    caption = "Each row moves one latent dimension from −3 to 3; a row that stays the same is a dimension without use."
    return section("Latent traversals", f'<table class="rows">{head}<tbody>{rows}</tbody></table>', caption)


def side_by_side(pictures: Sequence[str]) -> str:
    return f'<div class="pictures">{"".join(pictures)}</div>'


def section(heading: str, content: str, caption: str = "") -> str:
    """ "" without content; the caption is HTML."""
    if not content:
        return ""
    if caption:
        content = f"<figure>{content}<figcaption>{caption}</figcaption></figure>"
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"
