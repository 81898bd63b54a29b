"""Run folders, samplers and registered versions of earlier commits: they still sample, evaluate, resume and serve."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from genlib.cli import main
from tests.conftest import FIXTURES

EARLIER = FIXTURES / "commit_4189900"
EXPECTED = EARLIER / "expected"
HOLES = ["--condition", str(EXPECTED / "holes.npy")]
DRAWN = {  # the options, beside the seed, that the expected samples were drawn with
    "vae": ["--count", "8"],
    "points": ["--count", "8"],
    "masked": ["--count", "4", *HOLES],
    "captions": ["--count", "2", "--condition", "a four"],
    "unet": ["--count", "2", *HOLES],
}
SEED = 3

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def same(images: np.ndarray, expected: np.ndarray) -> bool:
    """Whether images are equal, or points but for the rounding of another machine.

    A grey level that lies half-way between two whole numbers may be rounded the other way there.
    """
    if images.shape != expected.shape or images.dtype != expected.dtype:
        return False
    if images.dtype == np.uint8:
        return int(np.abs(images.astype(int) - expected.astype(int)).max()) <= 1
    return bool(np.allclose(images, expected, rtol=1e-4, atol=1e-5))


def samples(file: Path) -> np.ndarray:
    """The only array of a file."""
    with np.load(file) as arrays:
        (name,) = arrays
        return arrays[name]


def names(folder: str) -> list[str]:
    return sorted(path.name for path in (EARLIER / folder).iterdir())


@pytest.mark.parametrize("folder", ["runs", "samplers"])
def test_samples_are_those_that_the_earlier_version_drew(folder: str, tmp_path: Path) -> None:
    for name in names(folder):
        run = tmp_path / name
        source = EARLIER / folder / name
        shutil.copytree(source, run if folder == "runs" else run / "sampler")
        drawn = tmp_path / f"{name}.npz"
        options = DRAWN.get(name, ["--count", "4"])
        assert main(["sample", str(run), "--seed", str(SEED), "--output", str(drawn), *options]) == 0
        assert same(samples(drawn), samples(EXPECTED / f"{name}.npz")), name


def holds(now: object, before: object) -> bool:
    """Whether every earlier key has its value; keys that the earlier version did not know may stand beside them."""
    if isinstance(before, dict):
        return isinstance(now, dict) and all(key in now and holds(now[key], value) for key, value in before.items())
    return now == before


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", names("runs"))
def test_an_earlier_run_is_resumed_and_evaluated(name: str, command: Command, tmp_path: Path) -> None:
    run = tmp_path / name
    shutil.copytree(EARLIER / "runs" / name, run)
    before = json.loads((run / "evaluation.json").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    trained = command("genlib", "train", run / "config.yaml", "--run-dir", run)
    assert trained.returncode == 0, trained.stderr
    assert "from step 10" in trained.stdout
    assert holds(yaml.safe_load((run / "config.yaml").read_text()), config)
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [5, 10, 15, 20]
    weights = load_file(run / "checkpoints" / "step-00000020" / "method.safetensors")
    expected = load_file(EXPECTED / f"{name}.safetensors")
    assert weights.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(weights[key], tensor, rtol=1e-4, atol=1e-6, msg=key)

    evaluated = command("genlib", "evaluate", run)
    assert evaluated.returncode == 0, evaluated.stderr
    after = json.loads((run / "evaluation.json").read_text())
    assert set(before["metrics"]) <= set(after["metrics"])
    for metric, value in before["metrics"].items():
        assert after["metrics"][metric]["value"] == pytest.approx(value["value"], rel=1e-3, abs=1e-3), metric


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The earlier version's home, moved here from where it was."""
    home = tmp_path_factory.mktemp("earlier") / "home"
    with tarfile.open(EARLIER / "registry.tar.xz") as archive:
        archive.extractall(home, filter="data")
    return home


@pytest.mark.slow
@pytest.mark.long
def test_an_earlier_registry_is_relocated_compared_and_served(registry: Path, command: Command, tmp_path: Path) -> None:
    def pipeline(*arguments: str) -> str:
        done = command("pipelines", *arguments, GENLIB_HOME=str(registry))
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert str(registry) in pipeline("relocate")
    table = pipeline("compare", "old-vae")
    assert "champion" in table and "13.55 ± 0.1918" in table and "challenger" in table
    assert "4189900cec28" in pipeline("lineage", "old-vae", "1")
    assert pipeline("promote", "old-vae", "2")
    assert pipeline("rollback", "old-vae")

    served = tmp_path / "served.npy"
    program = (
        "import sys, mlflow, numpy, pandas\n"
        "model = mlflow.pyfunc.load_model('models:/old-vae@champion')\n"
        "numpy.save(sys.argv[1], model.predict(pandas.DataFrame({'count': [8]}), params={'seed': 3}))\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, served],
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{registry}/mlflow.db"},
        check=True,
        timeout=240,
    )
    assert same(np.load(served), samples(EXPECTED / "vae.npz"))


@pytest.mark.slow
@pytest.mark.long
def test_the_sampler_of_an_earlier_version_is_judged_as_a_candidate_is(
    registry: Path, command: Command, tmp_path: Path
) -> None:
    sampler = next(registry.glob("mlartifacts/old-vae/models/*/artifacts/artifacts/*/config.json")).parent
    config = EARLIER / "runs" / "vae" / "config.yaml"
    done = command("genlib", "evaluate", "--sampler", sampler, "--data", config, "--output", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "report" / "evaluation.json").read_text())["metrics"]
    assert metrics["fd_random"]["value"] > metrics["fd_random"]["floor"]
