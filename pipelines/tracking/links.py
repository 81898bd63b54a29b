"""Addresses of MLflow's pages, served now or once `make ui` runs; GENLIB_MLFLOW_URL is their name for browsers."""

from __future__ import annotations

import os
from urllib.parse import quote

from pipelines.servers.local import address, ui_ports


def run_page(experiment_id: str, run_id: str) -> str:
    return f"{server()}/#/experiments/{experiment_id}/runs/{run_id}"


def version_page(model: str, version: str) -> str:
    return f"{server()}/#/models/{quote(model)}/versions/{version}"


def server() -> str:
    uri = (os.environ.get("GENLIB_MLFLOW_URL") or os.environ["MLFLOW_TRACKING_URI"]).rstrip("/")
    return uri if uri.startswith("http") else address(ui_ports().mlflow)
