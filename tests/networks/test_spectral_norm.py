"""Spectral normalization against singular value decompositions."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from genlib.layers.spectral_norm import SpectralNorm, apply_spectral_norm, update_spectral_norms
from genlib.losses.penalties.r1 import R1


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.LeakyReLU(), nn.Flatten(), nn.Linear(6 * 4, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)
    )
    for parameter in module.parameters():
        parameter.data *= 7
    apply_spectral_norm(module)
    return module


def norms(module: nn.Module) -> list[float]:
    """The largest singular value of every weight in effect."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    return [torch.linalg.svdvals(layer.weight.flatten(1))[0].item() for layer in layers]


def test_the_largest_singular_value_of_every_weight_is_one(network: nn.Module) -> None:
    for _ in range(200):
        update_spectral_norms(network)
    assert norms(network) == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)


def test_a_projections_embedding_is_normalized_too_and_biases_are_not() -> None:
    embedding, linear = nn.Embedding(4, 3), nn.Linear(3, 2)
    bias = linear.bias.detach().clone()
    module = nn.ModuleList([embedding, linear])
    apply_spectral_norm(module)
    assert norms(module) == pytest.approx([1.0, 1.0], abs=0.05)
    assert torch.equal(linear.bias, bias)


def test_the_first_iterations_come_close_and_one_a_step_keeps_up_with_moving_weights(network: nn.Module) -> None:
    assert max(norms(network)) < 1.05
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        network(torch.randn(8, 1, 4, 4)).square().mean().neg().backward()
        optimizer.step()
        update_spectral_norms(network)
    assert max(norms(network)) < 1.01


def test_a_forward_pass_changes_no_buffer_and_an_update_does(network: nn.Module) -> None:
    before = deepcopy(network.state_dict())
    network.train()(torch.randn(2, 1, 4, 4)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    update_spectral_norms(network)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.endswith((".u", ".v")) for name in moved)


def test_an_update_is_one_power_iteration() -> None:
    weight = torch.randn(4, 3)
    norm = SpectralNorm(weight)
    norm.u.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    norm.update(weight)
    v = weight[0] / weight[0].norm()
    u = weight @ v / (weight @ v).norm()
    assert_close(norm.v, v)
    assert_close(norm.u, u)
    assert_close(norm(weight), weight / (u @ weight @ v))


def test_gradients_pass_through_the_norm_as_finite_differences_have_it() -> None:
    weight = torch.randn(4, 2, 3, 3, dtype=torch.double, requires_grad=True)
    norm = SpectralNorm(weight)
    assert torch.autograd.gradcheck(norm, weight)
    # Through the norm a weight's size has no effect.
    target = torch.randn_like(weight)
    (gradient,) = torch.autograd.grad((norm(weight) * target).sum(), weight)
    assert_close((gradient * weight).sum(), torch.zeros((), dtype=torch.double))


def test_an_update_between_forward_and_backward_leaves_the_gradient_alone(network: nn.Module) -> None:
    images = torch.randn(2, 1, 4, 4)
    original = network[0].parametrizations["weight"].original  # type: ignore[index, union-attr]
    (expected,) = torch.autograd.grad(network(images).sum(), original)
    scores = network(images).sum()
    update_spectral_norms(network)
    assert_close(torch.autograd.grad(scores, original)[0], expected)


def test_a_state_is_restored_and_a_copy_is_its_own(network: nn.Module) -> None:
    images = torch.randn(3, 1, 4, 4)
    torch.manual_seed(5)
    other = nn.Sequential(*[deepcopy(layer) for layer in network])
    for parameter in other.parameters():
        parameter.data.normal_()
    assert not torch.allclose(other(images), network(images))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(images), network(images))

    copy, before = deepcopy(network), network(images)
    copy.load_state_dict({name: value + 1 for name, value in copy.state_dict().items()})
    assert torch.equal(network(images), before)


def test_the_same_seed_gives_the_same_vectors() -> None:
    def vectors() -> Tensor:
        torch.manual_seed(3)
        layer = nn.Linear(5, 4)
        apply_spectral_norm(layer)
        norm = layer.parametrizations["weight"][0]  # type: ignore[index]
        return torch.cat([norm.u, norm.v])

    assert torch.equal(vectors(), vectors())


def test_gradient_penalties_and_autocast_work_through_it(network: nn.Module) -> None:
    images = torch.randn(3, 1, 4, 4)
    R1().of(network, images, images).mean().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters() if weight.grad is not None)
    exact = network[0].weight  # type: ignore[union-attr]
    with torch.autocast("cpu", torch.bfloat16):
        network(images).sum().backward()
        assert torch.equal(network[0].weight, exact)  # type: ignore[union-attr, arg-type]


def test_a_weight_of_zeros_is_refused() -> None:
    layer = nn.Linear(2, 3)
    nn.init.zeros_(layer.weight)
    with pytest.raises(ValueError, match=r"a weight of zeros \(3, 2\) cannot be divided"):
        apply_spectral_norm(layer)
    assert not parametrize.is_parametrized(layer)
