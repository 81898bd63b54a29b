"""A loss, penalty, augmentation, likelihood or divergence is one class in one file, in ours or in a plugin."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import PROJECT

FILE = '''
from typing import ClassVar, Literal

from pydantic import Field

from genlib.augmentation import Augmentation
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.divergences import DivergenceConfig
from genlib.losses.likelihoods import LikelihoodConfig
from genlib.losses.penalties import GradientPenalty


class Linear(AdversarialLoss):
    """Scores as they are."""

    needs_a_slope_limit: ClassVar[bool] = True

    name: Literal["linear"] = "linear"

    def discriminator(self, real, fake):
        return 3 * (fake - real)

    def generator(self, fake, real=None):
        return -fake


class Slope(GradientPenalty):
    """The squared gradient norm at reals, offset."""

    name: Literal["slope"] = "slope"
    offset: float = Field(0.5, description="Number that is added")

    def of(self, critic, reals, fakes):
        from genlib.losses.gradients import squared_gradient_norms

        return squared_gradient_norms(critic, reals) + self.offset


class Darker(Augmentation):
    """Half as bright."""

    name: Literal["darker"] = "darker"

    def build(self):
        from genlib.layers.augment import Augment

        class Half(Augment):
            def forward(self, images):
                return images / 2

        return Half()


class Laplace(LikelihoodConfig):
    """Absolute differences."""

    name: Literal["laplace"] = "laplace"

    def build(self, sigma, output):
        from genlib.layers.likelihood import Likelihood
        from genlib.layers.outputs import OUTPUTS

        class Absolute(Likelihood):
            pixels = "density"

            def forward(self, images, raw, counted=None):
                return -(images - OUTPUTS[output](raw)).abs().flatten(1).sum(1) / sigma

        return Absolute()


class Length(DivergenceConfig):
    """Squared length of the posterior's mean."""

    name: Literal["length"] = "length"

    def build(self, rows):
        import torch

        from genlib.layers.divergence import Divergence

        class Squared(Divergence):
            def forward(self, mean, log_variance, latents):
                length = mean.square().sum(1).mean()
                return {"divergence": length, "kl": length, "largest_kl": length.detach()}

        return Squared()
'''
PROGRAM = """
import sys

from genlib.choices import discovery
import ours

discovery.plugin_modules = lambda: (ours,)
from genlib.config.load import load_config
from genlib.errors import UserError

def refusal(*overrides):
    try:
        load_config("configs/dcgan_digits.yaml", overrides)
    except UserError as error:
        return str(error)

gan = load_config("configs/dcgan_digits.yaml", [
    "method.loss=linear", "method.penalty={name: slope, weight: 2, every: 3}", "method.augmentation={name: darker}",
    "method.network={name: dcgan, width: 2, discriminator_norm: none}",
]).method
vae = load_config("configs/vae_digits.yaml", ["method.likelihood=laplace", "method.divergence=length"]).method
assert not {"torch", "numpy", "datasets"} & set(sys.modules)
assert gan.model_dump(mode="json")["loss"] == "linear" and vae.model_dump(mode="json")["likelihood"] == "laplace"
assert "method.loss is linear, whose discriminator grows without end" in refusal("method.loss=linear")
assert "method.penalty (slope) is of each image's gradient" in refusal("method.penalty.name=slope")

import torch
from genlib.layers.base import DataSpec
from genlib.models.base import Batch

data, batch = DataSpec((1, 8, 8), rows=8), Batch(torch.rand(4, 1, 8, 8) * 2 - 1, None)
method = gan.build(data)
for step, due in ((3, True), (4, False)):
    method.begin_step(step)
    losses = method.loss("discriminator", batch)
    adversarial = 3 * (losses["fake_score"] - losses["real_score"])
    torch.testing.assert_close(losses["adversarial"], adversarial)
    assert ("penalty" in losses) == due
    torch.testing.assert_close(losses["total"], adversarial + (6 * losses["penalty"] if due else 0))
assert torch.equal(method.augmentation(batch.images), batch.images / 2)
method.loss("generator", batch)["total"].backward()

method = vae.build(data)
losses = method.loss("vae", batch)
torch.testing.assert_close(losses["total"], losses["reconstruction"] + losses["kl"])
"""


def test_one_class_each_is_known_asked_for_its_rules_and_trained_with(tmp_path):
    (tmp_path / "ours.py").write_text(FILE)
    environment = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
