"""Held-out quantities: right, private and independent of how the work is shared out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genlib.config import GANConfig, MLPConfig, VAEConfig
from genlib.evaluation.likelihood import held_out_metrics, speaks_of_held_out
from genlib.evaluation.processes import Processes
from genlib.methods import build_method
from genlib.methods.base import Batch, Losses, Method, Sampler

IMAGES = torch.randint(0, 256, (700, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def chunk(index: int) -> torch.Tensor:
    return IMAGES[256 * index : 256 * (index + 1)]


class Brightness(Method):
    """Reports each image's mean, and a draw."""

    phases = ()

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(1, 1)

    def loss(self, phase: str, batch: Batch) -> Losses:
        return {}

    def sampler_of(self, model: nn.Module) -> Sampler:
        raise NotImplementedError

    def held_out(self, model: nn.Module, batch: Batch) -> Losses:
        return {"mean": batch.images.mean((1, 2, 3)), "draw": torch.randn(len(batch.images))}


def test_means_and_standard_errors_are_over_exactly_the_images_asked_for(alone: Processes) -> None:
    method = Brightness()
    found = held_out_metrics(method, method.model, chunk, 700, 0, alone)
    per_image = (IMAGES.double() / 127.5 - 1).mean((1, 2, 3))
    assert found["mean"].value == pytest.approx(per_image.mean().item(), abs=1e-6)
    assert found["mean"].standard_error == pytest.approx(per_image.std().item() / 700**0.5, rel=1e-5)
    first_300 = held_out_metrics(method, method.model, chunk, 300, 0, alone)
    assert first_300["mean"].value == pytest.approx(per_image[:300].mean().item(), abs=1e-6)


def test_draws_depend_on_the_seed_alone_and_leave_the_global_generator_alone(alone: Processes) -> None:
    method = Brightness()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = held_out_metrics(method, method.model, chunk, 700, 0, alone)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert held_out_metrics(method, method.model, chunk, 700, 0, alone) == first
    assert held_out_metrics(method, method.model, chunk, 700, 1, alone)["draw"] != first["draw"]


def test_a_vae_reports_its_evidence_lower_bound_and_a_gan_nothing(alone: Processes) -> None:
    network = MLPConfig(hidden_sizes=[8])
    vae = build_method(VAEConfig(network=network, latent_size=2), (1, 4, 4)).eval()
    found = held_out_metrics(vae, vae.model, chunk, 700, 0, alone)
    assert found["elbo"].value == pytest.approx(-found["reconstruction"].value - found["kl"].value)
    assert found["elbo"].standard_error > 0
    gan = build_method(GANConfig(network=network, latent_size=2), (1, 4, 4)).eval()
    assert held_out_metrics(gan, gan.model, chunk, 700, 0, alone) == {}


def test_a_method_says_whether_it_speaks_of_held_out_images_without_being_loaded() -> None:
    before = torch.get_rng_state()
    assert speaks_of_held_out(VAEConfig(), (1, 8, 8))
    assert not speaks_of_held_out(GANConfig(), (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)
