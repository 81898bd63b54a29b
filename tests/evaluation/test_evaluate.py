"""From a trained run to its evaluation.json, as a user calls it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from genlib.errors import UserError
from genlib.evaluation import evaluate as module
from genlib.evaluation.evaluate import evaluate, finite
from genlib.evaluation.likelihood import Estimate
from genlib.files import read_json, write_json
from genlib.training.run_folder import RunFolder
from tests.conftest import FILES, PROJECT, TINY

SAMPLE_METRICS = {"fd_random", "precision", "recall", "density", "coverage"}
SMALL = (
    *("evaluation.features=random", "registry.metric=fd_random", "evaluation.samples=600"),
    *("training.device=cpu", "training.batch_size=16", "training.steps=10"),
)


@pytest.fixture(scope="module")
def trained(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of a tiny VAE, and one of a tiny GAN."""
    runs = {}
    for method, file in FILES.items():
        runs[method] = tmp_path_factory.mktemp("runs") / method
        settings = [part for setting in (*TINY[method], *SMALL) for part in ("--set", setting)]
        genlib("train", str(file), *settings, "--run-dir", str(runs[method]))
    return runs


def genlib(*arguments: str, launcher: tuple[str, ...] = ()) -> None:
    subprocess.run([sys.executable, *launcher, "-m", "genlib", *arguments], check=True, cwd=PROJECT, timeout=240)


@pytest.fixture
def vae(trained: dict[str, Path], tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained["vae"], tmp_path / "vae"))


@pytest.fixture
def gan(trained: dict[str, Path], tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained["gan"], tmp_path / "gan"))


def test_a_vae_is_judged_by_its_samples_and_its_likelihood_with_provenance(vae: RunFolder) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    evaluation = evaluate(vae)
    assert torch.equal(torch.get_rng_state(), before)
    assert read_json(vae.evaluation_file) == evaluation
    metrics, floor, provenance = evaluation["metrics"], evaluation["floor"], evaluation["provenance"]
    assert metrics.keys() == SAMPLE_METRICS | {"elbo", "reconstruction", "kl"}
    assert floor.keys() == SAMPLE_METRICS
    assert floor["fd_random"] < metrics["fd_random"]
    assert provenance["likelihood"]["standard_error"]["elbo"] > 0
    sampler = read_json(vae.sampler / "config.json")["info"]
    assert provenance["weights_sha256"] == sampler["weights_sha256"]
    assert provenance["dataset_hash"] == read_json(vae.dataset_file)["content_hash"]
    assert (provenance["step"], provenance["samples"]) == (10, {"count": 600, "seed": 0})
    assert provenance["ema_half_life"] == vae.config().training.ema_half_life
    assert len(provenance["extractor"]["hash"]) == 64
    assert "torch" in provenance["versions"]
    again = evaluate(vae)
    assert (again["metrics"], again["floor"]) == (metrics, floor)


def test_two_processes_evaluate_a_gan_as_one_does(gan: RunFolder) -> None:
    alone = evaluate(gan)
    assert alone["metrics"].keys() == SAMPLE_METRICS
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    genlib("evaluate", str(gan.path), launcher=launcher)
    together = read_json(gan.evaluation_file)
    assert together["provenance"]["processes"] == 2
    for part in ("metrics", "floor"):
        assert together[part] == pytest.approx(alone[part], rel=1e-5)


def test_what_is_not_finite_is_left_out_and_named(vae: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = float("nan")
    monkeypatch.setattr(module, "held_out_metrics", lambda *_: {"elbo": Estimate(nan, nan), "kl": Estimate(1.0, 0.1)})
    evaluation = evaluate(vae)
    assert "elbo" not in evaluation["metrics"] and evaluation["metrics"]["kl"] == 1
    assert "elbo is nan, and is left out." in evaluation["provenance"]["warnings"]
    assert finite({"a": float("inf"), "b": 1.0})[0] == {"b": 1.0}


def test_what_does_not_fit_together_is_refused_before_any_work(vae: RunFolder) -> None:
    settings = vae.config_file.read_text()
    vae.config_file.write_text(settings.replace("neighbours: 5", "neighbours: 500"))
    with pytest.raises(UserError, match=r"evaluation.neighbours \(500\) must be below the number of images \(\d+"):
        evaluate(vae)
    description = read_json(vae.sampler / "config.json")
    description["info"]["dataset_hash"] = "0" * 64
    write_json(vae.sampler / "config.json", description)
    with pytest.raises(UserError, match="was trained on the dataset 000000000000, but"):
        evaluate(vae)
