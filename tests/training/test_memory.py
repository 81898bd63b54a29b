"""The memory of a training against counts by hand, and against what autograd keeps on a CPU."""

from __future__ import annotations

import time

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.layers.base import DataSpec
from genlib.models.base import Batch
from genlib.training import memory
from tests.conftest import CONFIGS
from tests.family import NAMES, tiny_config

GIB = 2**30


def spec_for(config):
    size = config.data.image_size
    shape = (2,) if config.data.is_points else (config.data.channels, size, size)
    names = [str(number) for number in range(10)]
    return DataSpec(shape, 10, 60_000, config.condition.build(shape, names))


def need_of(config):
    return memory.need_of(config, spec_for(config), config.training.batch_size // config.training.parts)


def test_weights_and_their_averages_are_counted_exactly():
    config = load_config(
        CONFIGS / "autoencoder_digits.yaml", ["method.network.hidden_sizes=[10]", "method.latent_size=3"]
    )
    encoder, decoder = (64 * 10 + 10) + (10 * 3 + 3), (3 * 10 + 10) + (10 * 64 + 64)
    # The weights, their gradients, Adam's two averages, and the moving average of the weights.
    assert need_of(config).weights == 4 * 5 * (encoder + decoder)
    rmsprop = load_config(
        CONFIGS / "autoencoder_digits.yaml",
        ["method.network.hidden_sizes=[10]", "method.latent_size=3", "method.optimizer.algorithm=rmsprop"],
    )
    assert need_of(rmsprop).weights == 4 * 4 * (encoder + decoder)


def kept_on_a_cpu(config):
    """Bytes that autograd keeps for the backward pass of the first phase, weights left out."""
    torch.manual_seed(0)
    method = config.method.build(spec_for(config)).train()
    weights = {tensor.data_ptr() for tensor in (*method.parameters(), *method.buffers())}
    kept = {}

    def keep(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    shape = spec_for(config).shape
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        method.loss(method.phases[0].name, Batch(torch.rand(8, *shape), torch.zeros(8, dtype=torch.int64)))
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize("name", ["vae_digits", "iwae_digits", "vae_gan_digits"])
def test_activations_are_what_autograd_keeps(name):
    config = tiny_config(name)
    first = config.method.build(spec_for(config)).phases[0].name
    with memory.on_meta():
        method = memory.built(config.method, spec_for(config))
    found = memory.saved_bytes(method, first, spec_for(config), 8, config)
    assert found == pytest.approx(kept_on_a_cpu(config), rel=0.1)


def test_half_as_many_images_need_about_half_the_activations():
    config = load_config(CONFIGS / "dcgan_mnist.yaml")
    whole, half = (memory.need_of(config, spec_for(config), images).activations for images in (128, 64))
    assert half == pytest.approx(whole / 2, rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_configuration_is_reckoned_fast_and_fits_a_common_machine(name):
    config = load_config(CONFIGS / f"{name}.yaml")
    began = time.process_time()
    need = need_of(config)
    assert time.process_time() - began < 10  # of the processor: far less, but for the first import
    assert 0 < need.weights < GIB and 0 < need.activations < 8 * GIB


ABSURD = {
    "vae_digits": ["method.network.hidden_sizes=[65536, 65536]"],
    "iwae_mnist": ["method.importance_samples=1000000"],
    "dcgan_mnist": ["method.network.width=65536"],
    "hinge_sngan_cifar10": ["method.network.width=65536"],
    "r3gan_cifar10": ["method.network.width=8192", "method.network.expansion=64"],
    "vq_vae_cifar10": ["method.prior.width=65536"],
    "captions_digits": ["method.width=65536"],
    "hierarchical_vae_mnist": ["method.upper_hidden_sizes=[65536, 65536]"],
    "inpainting_vae_digits": ["method.network.width=65536"],
    "cvae_digits": ["method.latents=mixture", "method.mixture_components=1000", "method.latent_size=65536"],
    "gan_minimax_mnist": ["training.batch_size=1048576", "method.network.hidden_sizes=[65536]"],
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_size_is_refused_with_the_figures_and_the_key(name, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 16 * GIB)
    monkeypatch.setattr(memory, "PATIENCE", 60)  # however busy the machine is
    monkeypatch.setattr(memory, "spec_of", lambda dataset, condition: dataset)
    config = load_config(CONFIGS / f"{name}.yaml", [*ABSURD[name], "training.device=cpu"])
    with pytest.raises(UserError, match=r"of memory \(.*16.0 GiB are free; .*such as by lowering method\.") as error:
        memory.refuse_beyond(config, spec_for(config))
    changed = ABSURD[name][0].split("=")[0]
    assert "\n" not in str(error.value)
    if changed.startswith("method.") and changed != "method.latents":
        assert changed in str(error.value)
