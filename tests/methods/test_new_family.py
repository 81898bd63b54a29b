"""A family is one file and one YAML: a plugin's flow matching is trained, resumed, exported and sampled like ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.slow(minutes=1)

FAMILY = '''
"""Flow matching along straight paths (Lipman et al. 2023, eqs. 22 and 23)."""

from math import prod
from typing import Literal

from pydantic import Field

from genlib.choices.choice import Chosen, rule
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.mlp.config import MLPConfig


class FlowMatchingConfig(MethodConfig):
    """A velocity that carries noise to data, integrated by the midpoint rule."""

    name: Literal["flow_matching"] = "flow_matching"
    network: Chosen[Network] = Field(MLPConfig(), description="Architecture of the velocity")
    solver_steps: int = Field(20, ge=1, le=1000, description="Steps of the midpoint rule")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimizer of the velocity's weights")

    def build(self, data):
        from genlib.models.base import GenerativeModel, Method, Phase

        import torch
        import torch.nn.functional as F

        class FlowMatching(Method):
            def __init__(self, sampler, optimizer):
                super().__init__()
                self.model = GenerativeModel(sampler)
                self.phases = (Phase("flow", sampler, optimizer),)

            def loss(self, phase, batch):
                noise = torch.randn_like(batch.images)
                time = torch.rand(len(noise), *[1] * (noise.dim() - 1), device=noise.device)
                velocity = self.model.sampler.network.velocity(torch.lerp(noise, batch.images, time), time)
                return {"total": F.mse_loss(velocity.float(), batch.images - noise)}

        return FlowMatching(self.build_sampler(data), self.optimizer)

    def build_sampler(self, data):
        from genlib.models.sampler import Sampler

        import torch
        from torch import nn

        class Midpoint(nn.Module):
            def __init__(self, network, shape, steps):
                super().__init__()
                self.network, self.shape, self.steps = network, shape, steps

            def velocity(self, images, time):
                return self.network(torch.cat([images, time.expand_as(images[:, :1])], 1)).view_as(images)

            def forward(self, noise, given=None):
                images, step = noise.view(-1, *self.shape), 1 / self.steps
                for time in torch.arange(self.steps, device=noise.device) * step:
                    half = images + step / 2 * self.velocity(images, time)
                    images = images + step * self.velocity(half, time + step / 2)
                return images

        size, shape = prod(data.shape), (data.shape[0] + 1, *data.shape[1:])
        solver = Midpoint(self.network.encoder(shape, size, self.given_of(data)), data.shape, self.solver_steps)
        return Sampler(solver, size, "identity")

    @rule
    def velocities_need_no_batch_norm(self, run, key):
        """flow_matching's velocity of an image depends on no other image."""
        if not self.network.mixes_images:
            return None
        return f"{key}.network ({self.network.name}) has batch norm; use {key}.network.discriminator_norm=none."
'''
RUN = """
data: {source: SOURCE, image_size: 8, channels: 1, points: 200}
method: {name: flow_matching, network: NETWORK}
training: {steps: 4, batch_size: 16, micro_batches: 2, checkpoint_every: 2, sample_every: 4, log_every: 1, device: cpu}
evaluation: {samples: 100, every: null, features: FEATURES}
registry: {model: flows, metric: METRIC}
"""
PROGRAM = """
import json, shutil, sys
from pathlib import Path

import genlib.cli
from genlib.config.load import load_config
from genlib.config.reference import listing
from genlib.errors import UserError

folder = Path(sys.argv[1])
found = {"listed": "method.name: flow_matching" in listing(), "rule": "depends on no other image" in listing()}
found["torch"] = "torch" in sys.modules
try:
    load_config(folder / "images.yaml", ["method.network={name: dcgan}"])
except UserError as error:
    found["refused"] = str(error)

import torch
from safetensors.torch import load_file

from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.training.train import train

for name in ("images", "points"):
    config = load_config(folder / f"{name}.yaml")
    run, again = RunFolder(folder / name), RunFolder(folder / f"{name} again")
    assert train(config, run.path) == 0
    shutil.copytree(run.path, again.path)
    shutil.rmtree(again.checkpoints / "step-00000004")
    again.result_file.unlink()
    assert train(config, again.path) == 0
    pairs = [load_file(one.checkpoints / "step-00000004/method.safetensors") for one in (run, again)]
    resumed = [torch.equal(pairs[0][key], pairs[1][key]) for key in pairs[0]]
    samples = load_sampler(run.sampler).images(3, seed=1)
    found[name] = {"resumed": resumed, "shape": list(samples.shape), "finite": bool(samples.float().isfinite().all())}
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(genlib_home, tmp_path_factory) -> dict:
    """The findings of a process that sees the family as an installed plugin."""
    folder = tmp_path_factory.mktemp("family")
    (folder / "flow_matching.py").write_text(FAMILY)
    installed = folder / "flow_matching-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: flow-matching\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[genlib.plugins]\nflow_matching = flow_matching\n")
    images = {"SOURCE": "digits", "NETWORK": "{name: dcgan, width: 4, discriminator_norm: none}"}
    points = {"SOURCE": "ring8", "NETWORK": "{name: mlp, hidden_sizes: [16]}"}
    for name, values in (
        ("images", images | {"FEATURES": "random", "METRIC": "fd_random"}),
        ("points", points | {"FEATURES": "points", "METRIC": "energy_distance"}),
    ):
        text = RUN
        for word, value in values.items():
            text = text.replace(word, value)
        (folder / f"{name}.yaml").write_text(text)
    environment = os.environ | {"PYTHONPATH": str(folder), "GENLIB_HOME": str(genlib_home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize(("name", "shape"), [("images", [3, 1, 8, 8]), ("points", [3, 2])])
def test_it_is_trained_resumed_exactly_exported_and_sampled(found, name, shape):
    assert found[name]["resumed"] and all(found[name]["resumed"])
    assert found[name]["shape"] == shape and found[name]["finite"]


def test_its_settings_and_rules_are_known_without_torch(found):
    assert found["listed"] and found["rule"] and not found["torch"]
    assert "method.network (dcgan) has batch norm; use method.network.discriminator_norm=none" in found["refused"]
