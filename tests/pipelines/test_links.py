"""Where a reader of a flow run's page is led to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.tracking.links import run_page, version_page


def test_links_lead_to_the_server_that_is_tracked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENLIB_MLFLOW_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000/")
    assert run_page("1", "a") == "http://mlflow:5000/#/experiments/1/runs/a"


def test_links_lead_to_the_address_that_browsers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setenv("GENLIB_MLFLOW_URL", "https://mlflow.example.org")
    assert version_page("vae-digits", "3") == "https://mlflow.example.org/#/models/vae-digits/versions/3"


def test_without_a_server_links_lead_to_where_the_interface_will_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path))
    monkeypatch.delenv("GENLIB_MLFLOW_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////tmp/mlflow.db")
    assert run_page("1", "a") == "http://127.0.0.1:5000/#/experiments/1/runs/a"
