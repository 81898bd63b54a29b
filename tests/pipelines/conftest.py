"""An MLflow database for the session (its first use costs seconds), and run folders as genlib leaves them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from genlib.config.load import load_config, to_yaml
from genlib.config.run import RunConfig
from genlib.data.folder import DatasetFolder, Manifest, images_file
from genlib.runs.folder import RunFolder
from pipelines.registry.scores import Scores, scores_of
from pipelines.servers import environment

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from pipelines.registry.register import Registered


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

    from genlib.layers.base import DataSpec
    from genlib.sampling.export import export_sampler
    from genlib.sampling.sampler import TrainedSampler

    torch.manual_seed(0)
    sampler = config.method.build(DataSpec((1, 8, 8))).model.sampler
    export_sampler(tmp_path / "sampler", TrainedSampler(sampler, (1, 8, 8)), config, None, {"step": 0})
    return tmp_path / "sampler"


@pytest.fixture
def conditional_sampler(tmp_path: Path) -> Path:
    """The exported sampler of an untrained GAN of cats, dogs and owls."""
    import torch

    from genlib.config.training import RegistryConfig
    from genlib.layers.base import DataSpec
    from genlib.methods.gan.config import GANConfig
    from genlib.networks.mlp.config import MLPConfig
    from genlib.sampling.export import export_sampler
    from genlib.sampling.sampler import TrainedSampler

    torch.manual_seed(0)
    method = GANConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, conditioning="concat")
    config = RunConfig(method=method, registry=RegistryConfig(model="tiny"))
    sampler = TrainedSampler(method.build(DataSpec((1, 8, 8), 3)).model.sampler, (1, 8, 8), [0.2, 0.6, 0.2])
    export_sampler(tmp_path / "conditional", sampler, config, ["cat", "dog", "owl"], {})
    return tmp_path / "conditional"


@pytest.fixture
def context_sampler(tmp_path: Path) -> Path:
    """The exported sampler of an untrained VAE from 4x4 to 8x8 pixels."""
    import torch

    from genlib.conditions.low_resolution.config import LowResolutionCondition
    from genlib.config.training import RegistryConfig
    from genlib.layers.base import DataSpec
    from genlib.methods.vae.config import VAEConfig
    from genlib.networks.unet.config import UNetConfig
    from genlib.sampling.export import export_sampler
    from genlib.sampling.sampler import TrainedSampler

    torch.manual_seed(0)
    method, condition = VAEConfig(network=UNetConfig(width=4), latent_size=3), LowResolutionCondition()
    config = RunConfig(
        data={"image_size": 8, "channels": 1},
        method=method,
        condition=condition,
        registry=RegistryConfig(model="tiny"),
    )
    spec = DataSpec((1, 8, 8), condition=condition.build((1, 8, 8)))
    sampler = TrainedSampler(method.build(spec).model.sampler, (1, 8, 8))
    export_sampler(tmp_path / "given", sampler, config, None, {"step": 0})
    return tmp_path / "given"


@pytest.fixture
def caption_sampler(tmp_path: Path) -> Path:
    """The exported sampler of an untrained model of cats and dogs in scenes."""
    import torch

    from genlib.conditions.caption.config import CaptionCondition
    from genlib.config.training import RegistryConfig
    from genlib.layers.base import DataSpec
    from genlib.methods.vq_vae.config import CodePriorConfig, VQVAEConfig
    from genlib.sampling.export import export_sampler
    from genlib.sampling.sampler import TrainedSampler

    torch.manual_seed(0)
    prior = CodePriorConfig(width=8, layers=1, heads=2)
    method, condition = VQVAEConfig(width=4, downsamplings=2, codes=4, code_size=2, prior=prior), CaptionCondition()
    config = RunConfig(
        data={"image_size": 28, "channels": 1, "scenes": 100},
        method=method,
        condition=condition,
        registry=RegistryConfig(model="tiny"),
    )
    spec = DataSpec((1, 28, 28), condition=condition.build((1, 28, 28), ["cat", "dog"]))
    sampler = TrainedSampler(method.build(spec).model.sampler, (1, 28, 28))
    export_sampler(tmp_path / "told", sampler, config, None, {"step": 0})
    return tmp_path / "told"


@pytest.fixture
def write_metrics(run_folder: RunFolder) -> Callable[..., None]:
    """Append lines to metrics.jsonl as the trainer does."""

    def write(*steps: int, loss: float = 1.5, end: str = "\n", later: float = 0.0) -> None:
        with run_folder.metrics_file.open("a") as file:
            for step in steps:
                file.write(json.dumps({"step": step, "seconds": step / 10 + later, "vae/total": loss}) + end)

    return write


Registrar = Callable[..., "Registered"]


@pytest.fixture(scope="session")
def logged() -> list[Any]:
    """The model that all versions share unless a test logs its own, since logging one takes seconds."""
    return []


@pytest.fixture
def add(
    tracking: Path, config: RunConfig, sampler_folder: Path, logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> Registrar:
    """Register a version with a value of fd_classifier."""
    from mlflow import MlflowClient

    from pipelines.registry import register as registry
    from pipelines.tracking.mirror import experiment_of

    client = MlflowClient()
    experiment = experiment_of(client, config.registry.model)
    log_sampler = registry.log_sampler

    def log_once(run_id: str, sampler: Path) -> Any:
        if not logged:
            logged.append(log_sampler(run_id, sampler))
        return logged[0]

    def add(
        value: float,
        run_id: str | None = None,
        again: float | str = "the test does not want it",
        remarks: tuple[str, ...] = (),
        log_anew: bool = False,
        treatment: str = "warn",
        **evaluated: Any,
    ) -> registry.Registered:
        """`again` is what the champion gets where it is judged as the candidate, or why it cannot be; `treatment` is
        registry.baseline.
        """

        def evaluate_again(version: ModelVersion) -> Scores:
            if isinstance(again, str):
                raise registry.NotComparable(again)
            return scores_of(evaluation_of(again, **evaluated))

        monkeypatch.setattr(registry, "log_sampler", log_sampler if log_anew else log_once)
        run_id = run_id or client.create_run(experiment).info.run_id
        evaluation = evaluation_of(value, **evaluated)
        settings = config.registry.model_copy(update={"baseline": treatment})
        return registry.register(settings, run_id, sampler_folder, evaluation, TAGS, evaluate_again, remarks)

    return add


TAGS = {
    "dataset_hash": "abab" * 16,
    "dataset_revision": "none",
    "git.commit": "c0ffee" * 7,
    "git.dirty": "true",
    "prefect.flow_run_id": "0a0b0c0d-0000-4000-8000-000000000000",
}


def evaluation_of(
    value: float, extractor: str = "feed", std: float = 0.0, baseline: float | None = None
) -> dict[str, Any]:
    """As evaluation.json holds it, as far as the pipeline reads it."""
    provenance = {
        "extractor": {"hash": extractor},
        "dataset_hash": "abab",
        "samples": {"count": 8, "seeds": [0, 1, 2]},
        "neighbours": {"k": 5},
        "likelihood": None,
    }
    metrics = {"fd_classifier": {"value": value, "std": std, "floor": 0.01, "count": 8}}
    if baseline is not None:
        metrics["fd_classifier"] |= {"baseline": baseline, "baseline_std": 0.0}
    return {"metrics": metrics, "provenance": provenance}
