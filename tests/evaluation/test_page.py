"""report.html: whole in itself, well-formed, and only of what there is."""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
import torch

from genlib.evaluation.report.figures import ReportFigures
from genlib.evaluation.report.page import report_page

VOID = {"meta", "img", "br", "path", "use", "circle"}


def pictures(*leading: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(leading))
    return torch.randint(0, 256, (*leading, 1, 8, 8), dtype=torch.uint8, generator=generator)


EXHIBITS = ReportFigures(
    samples=pictures(16),
    baseline=pictures(16),
    by_label=pictures(2, 3),
    labels=("cat", "dog <i>", "&"),
    nearest=pictures(4, 6),
    reconstructions=pictures(5, 2),
    interpolations=pictures(3, 7),
    traversals=pictures(2, 7),
    traversed=(3, 0),
    points=torch.randn(50, 2, generator=torch.Generator().manual_seed(0)),
    real_points=torch.randn(60, 2, generator=torch.Generator().manual_seed(1)),
)
LOG: list[dict[str, float]] = [
    {"step": step, "images": 100 * step, "seconds": step / 10, "images_per_second": 1000, "vae/total": 100 / step}
    for step in range(10, 200, 10)
]
LOG[-1]["evaluation/fd_classifier"] = 3.5


def entry(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "std": None, "floor": None, "count": 100} | more


EVALUATION: dict[str, Any] = {
    "metrics": {
        "fd_classifier": entry(3.25, std=0.5, floor=0.75, baseline=2.125, count=1000),
        "fd_classifier_infinity": entry(3.0),
        "precision": entry(0.5),
        "elbo": entry(-20.0, standard_error=0.25),
    },
    "details": {
        "class_histogram": {"names": ["cat", "$dog <b>"], "samples": [0.25, 0.75], "data": [0.5, 0.5]},
        "log_likelihood_curve": [{"k": k, "value": -20 - 1 / k, "standard_error": 0.25} for k in (1, 10, 100)],
        "kl_per_dimension": [1.0, 0.0, 0.5, 2.0],
        "frechet_by_samples": [{"samples": count, "value": 3 + 100 / count} for count in (100, 500, 1000)],
    },
    "provenance": {
        "extractor": {"name": "classifier", "hash": "abc"},
        "samples": {"count": 1000, "seeds": [0, 1, 2]},
        "warnings": ["Few <images>."],
    },
}
CHAMPION = {"model": "vae", "version": "4", "metrics": {"fd_classifier": 4.0, "precision": 0.75}}
SECTIONS = (
    *(
        "Metrics",
        "Samples",
        "Baseline",
        "Samples by label",
        "Nearest training images",
        "Reconstructions",
        "Interpolations",
    ),
    "Latent traversals",
    *("Samples in the plane", "Training", "Classes", "Log-likelihood by importance samples"),
    *("KL per latent dimension", "Fréchet distance by samples", "Provenance"),
)
PAGE = report_page("run <1>", EVALUATION, EXHIBITS, LOG, CHAMPION)


class Outline(HTMLParser):
    """Open tags, headings and ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.ids: Counter[str] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.ids.update(value for name, value in attributes if name == "id" and value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.ids.update(value for name, value in attributes if name == "id" and value)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_every_section_with_data_is_there_in_the_order_of_a_review() -> None:
    assert Outline(PAGE).headings == list(SECTIONS)


def test_sections_without_data_are_left_out() -> None:
    metrics = {"metrics": {"fd_random": entry(1.0)}, "details": {}, "provenance": {"warnings": []}}
    page = report_page("run", metrics, ReportFigures(), [], None)
    assert Outline(page).headings == ["Metrics"]
    assert "champion<br>" not in page and "Warnings" not in page and "baseline" not in page.split("</style>")[1]


def test_tags_are_balanced_and_ids_unique() -> None:
    outline = Outline(PAGE)
    assert outline.open == []
    assert outline.ids and max(outline.ids.values()) == 1
    for used in re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', PAGE):
        assert next(filter(None, used)) in outline.ids


def test_nothing_is_asked_of_the_network() -> None:
    for reference in re.findall(r'(?:src|href)="([^"]*)"', PAGE):
        assert reference.startswith(("data:image/png;base64,", "#")), reference[:80]
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", PAGE))
    assert "default-src 'none'" in PAGE and "<script" not in PAGE


def test_text_from_outside_is_escaped() -> None:
    assert "run &lt;1&gt;" in PAGE and "run <1>" not in PAGE
    assert "Few &lt;images&gt;." in PAGE
    assert "$dog &lt;b&gt;" in PAGE and "<b>" not in PAGE
    assert "from the left: cat, dog &lt;i&gt;, &amp;." in PAGE and "<i>" not in PAGE


def row(page: str, name: str) -> str:
    found = re.search(rf"<tr><th><code>{name}</code>.*?</tr>", page)
    assert found
    return found.group()


def test_a_metric_has_its_error_its_floor_and_its_standing_against_the_champion() -> None:
    distance, precision, elbo = (row(PAGE, name) for name in ("fd_classifier", "precision", "elbo"))
    assert "3.250" in distance and "± 0.50" in distance and "0.7500" in distance and "1,000" in distance
    assert "better" in distance and "▲" in distance  # lower than the champion's, which is better here
    assert "<td>2.125</td>" in distance and "<td>–</td>" in precision and "<th>baseline</th>" in PAGE
    assert "▼" in precision
    assert "[± 0.25]" in elbo and "▲" not in elbo and "▼" not in elbo
    assert "better than champion version 4 in 1 of 2 metrics" in PAGE


def test_the_same_input_gives_the_same_bytes() -> None:
    assert report_page("run <1>", copy.deepcopy(EVALUATION), EXHIBITS, LOG, CHAMPION) == PAGE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_do_not_break_the_page(bad: float) -> None:
    broken = copy.deepcopy(EVALUATION)
    broken["metrics"]["fd_classifier"].update(value=bad, std=bad)
    broken["metrics"]["fd_classifier_infinity"]["value"] = bad
    broken["details"]["log_likelihood_curve"][1]["value"] = bad
    broken["details"]["kl_per_dimension"][0] = bad
    broken["details"]["frechet_by_samples"][0]["value"] = bad
    log = [line | {"vae/total": bad} for line in LOG]
    assert Outline(report_page("run", broken, EXHIBITS, log, CHAMPION)).open == []


def test_colour_images_and_large_ones_are_shown_too() -> None:
    large = torch.zeros(70, 3, 64, 64, dtype=torch.uint8)
    page = report_page("run", EVALUATION, ReportFigures(samples=large), [], None)
    assert "Samples" in Outline(page).headings
