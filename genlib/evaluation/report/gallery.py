"""One page of pictures of several runs: conditions, samples for them, and the metric of each."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

import torch

from genlib.config.run import RunConfig
from genlib.data.contexts import contexts_of
from genlib.data.folder import open_dataset
from genlib.data.making.prepare import prepare
from genlib.data.parts import whole_test_split
from genlib.evaluation.report.drawing import GRID, of_contexts, of_sampler
from genlib.evaluation.report.figures import ReportFigures, image_sections
from genlib.evaluation.report.page import POLICY, STYLE, baselines_table, meaning
from genlib.evaluation.report.plots import number
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.storage.files import read_json


class Piece(NamedTuple):
    """A run that is shown."""

    title: str
    run: RunFolder
    command: str  # that made it


def gallery(pieces: list[Piece]) -> str:
    """The page as HTML text, the same for the same runs; UserError for a run that was not trained and evaluated."""
    body = "".join(section_of(piece) for piece in pieces)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Gallery</title><style>{STYLE}</style></head><body>",
            "<header><h1>Gallery</h1><p>Drawn at random, not chosen; conditions are taken of images that no model was "
            "trained on.</p></header>",
            body,
            "</body></html>\n",
        ]
    )


def section_of(piece: Piece) -> str:
    evaluation = read_json(piece.run.evaluation_file)
    pictures = "".join(image_sections(shown_of(piece.run), []))
    table = baselines_table(evaluation["details"].get("baselines") or {})
    note = (
        f'<p class="note"><code>{escape(piece.command)}</code> &#8212; {facts_of(piece.run.config(), evaluation)}</p>'
    )
    return f"<section><h1>{escape(piece.title)}</h1>{note}{pictures}{table}</section>"


def facts_of(config: RunConfig, evaluation: dict[str, Any]) -> str:
    """The metric that decides on the model."""
    metric = config.registry.metric
    entry = evaluation["metrics"].get(metric)
    if entry is None:
        return f"{config.training.steps:,} steps"
    floor = "" if entry["floor"] is None else f" (real images {number(entry['floor'])})"
    return (
        f"{config.training.steps:,} steps; {escape(metric)} {number(entry['value'])}{floor}: {escape(meaning(metric))}"
    )


def shown_of(run: RunFolder) -> ReportFigures:
    """Samples for conditions where the model takes any, of each label where there are labels, or some."""
    config = run.config()
    sampler, dataset = load_sampler(run.sampler), open_dataset(prepare(config.data, progress=False).path)
    binarize, seed = config.data.binarize == "draw", config.evaluation.seed
    sampler = sampler.bound_to(contexts_of(whole_test_split(dataset), binarize))
    if sampler.condition:
        return of_contexts(ReportFigures(), sampler, seed, dataset, binarize)
    if sampler.classes:
        return replace(of_sampler(ReportFigures(), sampler, seed), interpolations=None)
    with torch.inference_mode():
        return ReportFigures(samples=sampler.images(GRID, seed))
