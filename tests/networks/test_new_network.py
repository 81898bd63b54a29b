"""A network is one file that imports torch inside its methods; whoever adds it writes nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import yaml

from genlib.choices import discovery
from genlib.choices.discovery import choices_of_kind, found_of_kind
from genlib.layers.shapes import ConditionSpec
from genlib.networks import Network
from tests.conftest import CONFIGS, PROJECT

FILE = '''
from typing import ClassVar, Literal

from pydantic import Field

from genlib.networks import Network


class OneLayer(Network):
    """One linear layer each way."""

    takes_points: ClassVar[bool] = True

    name: Literal["one_layer"] = "one_layer"
    features: int = Field(6, ge=1, description="Features in front of the head")

    def generator_layers(self, inputs, shape, classes=0):
        from math import prod

        from torch import nn

        return nn.Sequential(nn.Linear(inputs, prod(shape)), nn.Unflatten(1, shape))

    def backbone(self, shape, in_discriminator=False):
        from torch import nn

        from genlib.layers.base import Backbone

        return Backbone(nn.Linear(*shape, self.features), self.features, takes_vectors=True)
'''
PROGRAM = """
import sys, yaml
from genlib.choices import discovery
import one_layer

discovery.plugin_modules = lambda: (one_layer,)
from genlib.config.run import RunConfig

content = yaml.safe_load(open(sys.argv[1]))
content["method"]["network"] = {"name": "one_layer", "features": 3}
config = RunConfig.model_validate(content)
assert not {"torch", "numpy", "datasets"} & set(sys.modules), "the configuration needs no torch"
print(yaml.safe_dump(config.model_dump(mode="json")["method"]["network"]))
"""


@pytest.fixture
def one_layer(tmp_path, monkeypatch) -> type[Network]:
    """The class that a plugin of one file declares."""
    (tmp_path / "one_layer.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("one_layer")
    monkeypatch.setattr(discovery, "plugin_modules", lambda: (module,))
    found_of_kind.cache_clear()
    yield choices_of_kind(Network)["one_layer"]
    found_of_kind.cache_clear()
    del sys.modules["one_layer"]


def test_a_file_is_enough_for_generator_encoder_and_discriminator(one_layer):
    network, shape, labels = one_layer(features=4), (3, 8, 8), torch.tensor([0, 2])
    spec, images = ConditionSpec(3), torch.randn(2, *shape)
    assert network.generator(5, shape, spec, "concat")(torch.randn(2, 5), labels).shape == (2, *shape)
    assert network.encoder(shape, 7, spec)(images, labels).shape == (2, 7)
    assert network.discriminator(shape, spec, "projection")(images, labels).shape == (2,)
    packs = network.discriminator((2,), spec, "concat", pack=2, spectral_norm=True)
    assert packs(torch.randn(2, 2), labels).shape == (1,)


def test_what_the_file_leaves_out_is_refused_like_with_our_own(one_layer):
    with pytest.raises(ValueError, match="batch_norm needs norms in the generator, and this one_layer has none"):
        one_layer().generator(5, (3, 8, 8), ConditionSpec(3), "batch_norm")


def test_a_configuration_names_it_and_is_read_without_torch(tmp_path):
    (tmp_path / "one_layer.py").write_text(FILE)
    command = [sys.executable, "-c", PROGRAM, str(CONFIGS / "vae_digits.yaml")]
    done = subprocess.run(command, cwd=PROJECT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout) == {"name": "one_layer", "features": 3}
