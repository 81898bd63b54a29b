"""An MLflow database for the session (its first use costs seconds), and run folders as genlib leaves them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlib.config import RunConfig, load_config, to_yaml
from genlib.data.folder import DatasetFolder, Manifest, images_file
from genlib.training.run_folder import RunFolder
from pipelines import environment


@pytest.fixture(scope="session")
def tracking(genlib_home: Path) -> Iterator[Path]:
    """GENLIB_HOME, with MLflow's database and artifacts in it, as the pipeline's defaults have them."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "PREFECT_"))]:
        del os.environ[name]
    environment.configure()
    yield genlib_home
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """A tiny VAE; its model's name is the test's own, so that tests share one registry."""
    overrides = ["method.network.hidden_sizes=[8]", "method.latent_size=2", f"registry.model={tmp_path.name}"]
    return load_config("configs/vae_digits.yaml", overrides)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetFolder:
    """Eight black images."""
    path = tmp_path / "dataset"
    path.mkdir()
    for part, count in {"train": 6, "test": 2}.items():
        np.save(images_file(path, part), np.zeros((count, 1, 8, 8), np.uint8))
    manifest = Manifest(
        source="digits",
        revision=None,
        request={},
        counts={"train": 6, "test": 2},
        skipped={"train": 0, "test": 0},
        shape=[1, 8, 8],
        label_names=None,
        mean=[0.0],
        std=[1.0],
        content_hash="ab" * 32,
        versions={},
        created="2026-01-01T00:00:00+00:00",
    )
    manifest.write(path)
    return DatasetFolder(path, manifest)


@pytest.fixture
def run_folder(tmp_path: Path, config: RunConfig) -> RunFolder:
    """A run folder that has begun and holds nothing yet."""
    folder = RunFolder(tmp_path / "run")
    folder.samples.mkdir(parents=True)
    folder.config_file.write_text(to_yaml(config))
    return folder


@pytest.fixture
def sampler_folder(tmp_path: Path, config: RunConfig) -> Path:
    """The exported sampler of an untrained tiny VAE."""
    import torch

    from genlib.methods import build_method
    from genlib.networks.base import DataSpec
    from genlib.sampling import TrainedSampler, export_sampler

    torch.manual_seed(0)
    sampler = build_method(config.method, DataSpec((1, 8, 8))).model.sampler
    export_sampler(tmp_path / "sampler", TrainedSampler(sampler, (1, 8, 8)), config, None, {"step": 0})
    return tmp_path / "sampler"


@pytest.fixture
def write_metrics(run_folder: RunFolder) -> Callable[..., None]:
    """Append lines to metrics.jsonl as the trainer does."""

    def write(*steps: int, loss: float = 1.5, end: str = "\n", later: float = 0.0) -> None:
        with run_folder.metrics_file.open("a") as file:
            for step in steps:
                file.write(json.dumps({"step": step, "seconds": step / 10 + later, "vae/total": loss}) + end)

    return write


def evaluation_of(value: float, extractor: str = "feed") -> dict[str, Any]:
    """As evaluation.json holds it, as far as the pipeline reads it."""
    provenance = {
        "extractor": {"hash": extractor},
        "dataset_hash": "abab",
        "samples": {"count": 8},
        "neighbours": {"k": 5},
        "likelihood": None,
    }
    metrics = {"fd_classifier": {"value": value, "std": 0.25, "floor": 0.01, "count": 8}}
    return {"metrics": metrics, "provenance": provenance}
