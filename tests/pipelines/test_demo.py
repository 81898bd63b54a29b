from __future__ import annotations

from typing import Any

import pytest

from pipelines.flows.demo import report


def summary(model: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": model,
        "version": "1",
        "alias": "champion",
        "reason": "the first version",
        "metric": "fd_classifier",
        "metrics": {"fd_classifier": 1.23456},
        "std": {"fd_classifier": 0.0123},
        "floor": {"fd_classifier": 0.4},
        "baseline": {"fd_classifier": 0.6},
        "run_folder": f"/runs/{model}",
        "images_per_second": 12345.6,
        "seconds": {"prepare": 1.0, "train": 20.0, "evaluate": 3.0, "register": 2.0},
        "samples": f"/runs/{model}/samples/step-00000010.png",
    } | changes


def test_the_closing_report_has_all_that_a_newcomer_wants_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    text = report(
        [summary("vae-digits"), summary("dcgan-digits", version="2", alias="challenger", floor={}, baseline={})]
    )
    heading, _, first, second, *rest = text.splitlines()
    assert heading.split()[:5] == ["model", "version", "alias", "metric", "value"]
    assert (
        " ".join(first.split()) == "vae-digits 1 champion fd_classifier 1.235 ± 0.0123 0.4 0.6 12,346 1.0 20.0 3.0 2.0"
    )
    assert " ".join(second.split()) == "dcgan-digits 2 challenger fd_classifier 1.235 ± 0.0123 12,346 1.0 20.0 3.0 2.0"
    assert "samples of vae-digits: /runs/vae-digits/samples/step-00000010.png" in rest
    assert "report on dcgan-digits: /runs/dcgan-digits/report.html" in rest
    assert " 3 none fd_classifier" in " ".join(report([summary("vae-digits", version="3", alias="")]).split())
    assert "make ui" in rest[-2]
    assert "https://mlflow.example" in rest[-1]
