"""`mlflow models serve` on a champion, asked over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from genlib.config.run import RunConfig
from genlib.sampling.load import load_sampler
from pipelines.registry.versions import CHAMPION
from pipelines.servers.local import HOST, Server, address, free_port
from pipelines.serving.packaging import log_sampler
from pipelines.tracking.mirror import experiment_of

pytestmark = pytest.mark.cluster


@pytest.fixture
def served(
    tracking: Path, config: RunConfig, conditional_sampler: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    client, model = MlflowClient(), config.registry.model
    run_id = client.create_run(experiment_of(client, model)).info.run_id
    logged = log_sampler(run_id, conditional_sampler)
    client.create_registered_model(model)
    version = client.create_model_version(model, logged.model_uri, run_id, model_id=logged.model_id)
    client.set_registered_model_alias(model, CHAMPION, version.version)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # it starts uvicorn by name
    port = free_port()
    options = ["--model-uri", f"models:/{model}@{CHAMPION}", "--env-manager", "local", "--host", HOST]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options, "--port", str(port)]
    with (
        Server.started("Model", port, command) as server,
        httpx.Client(base_url=address(port), timeout=60) as http,
    ):
        server.wait_until_up()
        yield http


def test_the_champion_answers_with_images_of_the_labels_for_a_seed(
    served: httpx.Client, conditional_sampler: Path
) -> None:
    def ask(records: list[dict[str, Any]], **params: Any) -> httpx.Response:
        return served.post("/invocations", json={"dataframe_records": records, "params": params})

    answer = ask([{"count": 2, "label": "owl"}, {"count": 3, "label": "cat"}], seed=7)
    assert answer.status_code == 200, answer.text
    images = np.array(answer.json()["predictions"], np.uint8)
    expected = load_sampler(conditional_sampler).images(5, 7, labels=torch.tensor([2, 2, 0, 0, 0]))
    assert np.array_equal(images, expected.numpy())

    assert ask([{"count": 1}]).status_code == 200
    for refused in (
        ask([{"count": 0}]),
        ask([{"count": 1, "label": "owll"}]),
        ask([{"count": 1, "labels": "owl"}]),
        ask([{"count": 1}], sead=7),
    ):
        assert refused.status_code == 400, refused.text
        assert "error_code" in refused.json()
