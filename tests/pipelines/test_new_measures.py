"""A metric and an extractor of somebody else's package, a file each, go all the way to the gate and the comparison."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genlib.storage.files import read_json
from tests.conftest import PROJECT

pytestmark = [pytest.mark.usefixtures("tracking"), pytest.mark.slow(minutes=1)]

METRIC = """
from genlib.config.metrics import Metric
from genlib.evaluation.estimates import Estimate, Findings


def drift(samples):
    moved = samples.features.double().mean(0) - samples.train.moments.mean.to(samples.features.device)
    return Findings({"mean_drift": Estimate(moved.norm().item(), samples.count)})


def of_images(metric, run):
    return "registry.metric (mean_drift) is of images alone." if run.data.is_points else None


MEAN_DRIFT = Metric(
    "mean_drift",
    "lower",
    "distance between the mean features of samples and data",
    compute=drift,
    needs=(of_images,),
    during_training=True,
    definition=3,
    compared=True,
)
"""
EXTRACTOR = """
import hashlib
from typing import ClassVar, Literal

from genlib.config.extractors import ExtractorConfig


class QuartersConfig(ExtractorConfig):
    name: Literal["quarters"] = "quarters"
    frechet: ClassVar[str] = "fd_quarters"
    kernel: ClassVar[str] = "kd_quarters"
    title: ClassVar[str] = "quarter"
    num_features: ClassVar[int] = 4

    def build(self, asked, dataset, device, processes):
        from torch import nn

        from genlib.evaluation.features import Extractor

        class Quarters(nn.Module):
            def forward(self, images):
                return nn.functional.adaptive_avg_pool2d(images.float().mean(1), 2).flatten(1)

        return Extractor("quarters", Quarters(), 4, hashlib.sha256(b"quarters").hexdigest(), {}).to(device)
"""
PROGRAM = """
import sys
from pathlib import Path

from mlflow import MlflowClient

from genlib.cli import main
from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.storage.files import read_json
from pipelines.registry.comparison import compare
from pipelines.registry.gate import compare_at_gate
from pipelines.registry.scores import as_tags, scores_of

run, name, *settings = sys.argv[1:]
overrides = [part for setting in settings for part in ("--set", setting)]
assert main(["train", "configs/vae_digits.yaml", *overrides, "--run-dir", run]) == 0
assert main(["evaluate", run]) == 0
scores = scores_of(read_json(Path(run) / "evaluation.json"))
worse = scores._replace(metrics={**scores.metrics, "mean_drift": scores.metrics["mean_drift"] * 9 + 9})
assert compare_at_gate("mean_drift", 0.0, scores, worse).passes
assert not compare_at_gate("mean_drift", 0.0, worse, scores).passes
others = worse._replace(basis={**worse.basis, "definition of mean_drift": "2"})
print(compare_at_gate("mean_drift", 0.0, scores, others).reason)
for config, metric in (("vae_pinwheel", "mean_drift"), ("vae_digits", "mean_drif")):
    try:
        load_config(Path(f"configs/{config}.yaml"), [f"registry.metric={metric}"])
    except UserError as error:
        print(error)
client = MlflowClient()
client.create_registered_model(name)
client.create_model_version(name, "file:/nowhere", tags=as_tags(scores))
print(compare(name))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A folder with an installed package, as pip leaves one: two modules, and an entry point that names the package."""
    site = tmp_path / "site"
    package, installed = site / "our_measures", site / "our_measures-1.0.dist-info"
    package.mkdir(parents=True)
    installed.mkdir()
    (package / "__init__.py").touch()
    (package / "drift.py").write_text(METRIC)
    (package / "quarters.py").write_text(EXTRACTOR)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: our-measures\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[genlib.plugins]\nmeasures = our_measures\n")
    return site


def test_a_metric_and_an_extractor_are_one_file_each(plugin: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = [
        *("method.network.hidden_sizes=[16]", "training.steps=4", "training.batch_size=16", "training.device=cpu"),
        *("evaluation.every=2", "evaluation.every_samples=60", "evaluation.samples=80", "evaluation.seeds=2"),
        *("evaluation.likelihood_samples=2", "evaluation.features=quarters", "registry.metric=mean_drift"),
        "training.ema_half_life=32",
    ]
    environment = os.environ | {"PYTHONPATH": f"{plugin}:{PROJECT}"}
    command = [sys.executable, "-c", PROGRAM, str(run), tmp_path.name, *settings]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    assert "features: quarters" in (run / "config.yaml").read_text()
    assert read_json(run / "result.json")["best"]["metric"] == "mean_drift"
    evaluation = read_json(run / "evaluation.json")
    found = evaluation["metrics"]
    assert {"fd_quarters", "kd_quarters", "fd_quarters_infinity", "rfd_quarters", "fd_random"} <= found.keys()
    assert 0 < found["mean_drift"]["floor"] < found["mean_drift"]["value"] and found["mean_drift"]["std"] > 0
    assert evaluation["provenance"]["definitions"]["mean_drift"] == 3
    page = (run / "report.html").read_text()
    assert "distance between the mean features of samples and data" in page
    assert "Fréchet distance of quarter features, extrapolated to endless samples" in page

    lines = done.stdout.splitlines()
    assert any(line.startswith("Features: quarters (4 numbers") for line in lines)
    assert "not comparable: the champion was evaluated with another definition of mean_drift" in lines
    assert any("registry.metric (mean_drift) is of images alone." in line for line in lines)
    assert any("did you mean 'mean_drift'?" in line for line in lines)
    heading = next(number for number, line in enumerate(lines) if line.startswith("version "))
    assert {"mean_drift", "fd_quarters", "kd_quarters", "precision"} <= set(lines[heading].split())
    assert f"{found['mean_drift']['value']:.4g} ± " in lines[heading + 2]
