"""A condition that is one file of a plugin: trained, resumed, evaluated, exported, sampled from a file and served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.slow(minutes=1)

CENTRE = '''
from typing import Literal

from genlib.conditions import ImageConditionConfig
from genlib.contexts.images import ImageCondition, grey_levels, of_uint8


class CentreCondition(ImageConditionConfig):
    """p(image | the middle of it)."""

    name: Literal["centre"] = "centre"

    def build(self, image_shape, names=None):
        return Centre(image_shape)


class Centre(ImageCondition):
    """The pixels in the middle, half as high and wide as the image."""

    name = "centre"
    baseline = "mean around"

    def __init__(self, image_shape):
        super().__init__(image_shape)
        channels, height, width = image_shape
        self.shape = (channels, height // 2, width // 2)
        self.rows, self.columns = (slice(size // 4, size // 4 + size // 2) for size in (height, width))

    def told(self, images):
        return images[:, :, self.rows, self.columns]

    def context(self, images, generator):
        return of_uint8(self.told(images))

    def keep(self, images, context):
        kept = images.clone()
        kept[:, :, self.rows, self.columns] = context.to(images.dtype)
        return kept

    def without_a_model(self, context, mean):
        return self.keep(mean.expand(len(context), *self.image_shape), context)

    def deviation(self, images, context):
        return grey_levels(self.told(images), context)
'''
RUN = """
data: {source: digits, image_size: 8, channels: 1}
condition: centre
method: {name: vae, network: {name: mlp, hidden_sizes: [16]}, latent_size: 4}
training: {steps: 4, batch_size: 16, checkpoint_every: 2, sample_every: 4, log_every: 1, device: cpu}
evaluation: {samples: 200, likelihood_samples: 2, likelihood_images: 50, every: 2, every_samples: 100}
registry: {model: centres, metric: condition_psnr}
"""
PROGRAM = """
import json, shutil, sys
from pathlib import Path

import mlflow, numpy as np, torch
from PIL import Image
from safetensors.torch import load_file

from genlib.cli import main
from genlib.config.load import load_config
from genlib.config.reference import listing
from genlib.evaluation.evaluate import evaluate
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.training.train import train
from pipelines.serving.packaging import MODEL_SCRIPT, example, input_form, signature_for

folder = Path(sys.argv[1])
config = load_config(folder / "centre.yaml")
run, again = RunFolder(folder / "run"), RunFolder(folder / "again")
assert train(config, run.path) == 0
shutil.copytree(run.path, again.path)
shutil.rmtree(again.checkpoints / "step-00000004")
again.result_file.unlink()
assert train(config, again.path) == 0
found = {"resumed": [], "listed": "condition.name: centre" in listing()}
for name in ("method", "average", "optimizers"):
    ours, theirs = (load_file(one.checkpoints / f"step-00000004/{name}.safetensors") for one in (run, again))
    assert ours.keys() == theirs.keys()
    found["resumed"] += [torch.equal(ours[key], theirs[key]) for key in ours]

evaluation = evaluate(run)
found["metrics"] = {name: entry["value"] for name, entry in evaluation["metrics"].items()}
found["baselines"] = list(evaluation["details"]["baselines"])
found["report"] = run.report_file.read_text().count("<section>")

middle = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
Image.fromarray(middle).save(folder / "middle.png")
arguments = ["--condition", str(folder / "middle.png"), "--count", "3", "--output", str(folder / "samples.npz")]
assert main(["sample", str(run.path), *arguments]) == 0
samples = np.load(folder / "samples.npz")["images"]
found["sampled"] = [list(samples.shape), bool((samples[:, 0, 2:6, 2:6] == middle).all())]

sampler = load_sampler(run.sampler)
mlflow.pyfunc.save_model(
    str(folder / "model"),
    python_model=str(MODEL_SCRIPT),
    artifacts={"sampler": str(run.sampler)},
    signature=signature_for(sampler),
    pip_requirements=[],
)
served = mlflow.pyfunc.load_model(str(folder / "model"))
images = served.predict(middle[None, None], params={"samples": 2, "seed": 5})
found["served"] = [list(images.shape), bool((images[:, 0, 2:6, 2:6] == middle).all())]
found["example"] = list(served.predict(example(sampler)).shape)
found["form"] = input_form(sampler)
print(json.dumps(found))
"""


def test_a_new_condition_is_one_file(genlib_home: Path, tmp_path: Path) -> None:
    package = tmp_path / "packages"
    facts = package / "centres-1.0.dist-info"
    facts.mkdir(parents=True)
    (package / "centres.py").write_text(CENTRE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: centres\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[genlib.plugins]\ncentres = centres\n")
    (tmp_path / "centre.yaml").write_text(RUN)
    environment = os.environ | {"PYTHONPATH": str(package), "GENLIB_HOME": str(genlib_home)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["listed"] and found["resumed"] and all(found["resumed"])
    assert {"elbo", "condition_psnr", "condition_ssim", "condition_diversity", "fd_pairs"} <= found["metrics"].keys()
    assert found["metrics"]["condition_error"] < 1e-3  # the middle is kept
    assert found["baselines"][:4] == [
        "samples",
        "average of 4 samples",
        "samples of any test images",
        "mean around",
    ]
    assert found["report"] > 3
    assert found["sampled"] == [[3, 1, 8, 8], True] and found["served"] == [[2, 1, 8, 8], True]
    assert found["example"] == [1, 1, 8, 8]
    assert found["form"] == "an array of whole numbers from 0 to 255 (n, 1, 4, 4)"
