"""Penalties against gradients known by hand, finite differences and double autograd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from genlib.choices.discovery import choices_of_kind
from genlib.losses.penalties import GradientPenalty, Penalty
from genlib.losses.penalties.gradient_penalty import WGANGP
from genlib.losses.penalties.r1 import R1
from genlib.losses.penalties.r1_r2 import R1R2
from genlib.losses.penalties.r2 import R2
from genlib.losses.penalties.weight_clipping import WeightClipping

PENALTIES = {name: kind() for name, kind in choices_of_kind(Penalty).items() if issubclass(kind, GradientPenalty)}
r1, r2, r1_r2, gradient_penalty = R1().of, R2().of, R1R2().of, WGANGP().of

REALS, FAKES = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [3.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 2.0], [-1.0, -2.0]])


def quadratic(weights: Tensor) -> Callable[[Tensor], Tensor]:
    """D(x) = sum_j w_j x_j^2 / 2, whose gradient is w x."""
    return lambda images: 0.5 * (weights * images.square()).sum(1)


def small_critic() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0))


def penalty_by_autograd(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """|grad D|^2 / 2 of each image by a loop over them."""
    images = images.clone().requires_grad_()
    norms = []
    for i in range(len(images)):
        (gradient,) = torch.autograd.grad(critic(images[i : i + 1]).sum(), images, create_graph=True)
        norms.append(0.5 * gradient.square().sum())
    return torch.stack(norms)


def test_r1_and_r2_are_half_the_squared_slope_at_reals_and_at_fakes() -> None:
    weights = torch.tensor([2.0, -1.0])
    critic = quadratic(weights)
    at_reals, at_fakes = (0.5 * (weights * points).square().sum(1) for points in (REALS, FAKES))
    assert_close(r1(critic, REALS, FAKES), at_reals)
    assert_close(r2(critic, REALS, FAKES), at_fakes)
    assert_close(r1_r2(critic, REALS, FAKES), at_reals + at_fakes)


def test_the_penalties_gradient_is_the_second_derivative_known_by_hand() -> None:
    weights = torch.tensor([2.0, -1.0], requires_grad=True)
    r1(quadratic(weights), REALS, FAKES).sum().backward()
    assert weights.grad is not None
    assert_close(weights.grad, (weights * REALS.square().sum(0)).detach())  # of sum_i sum_j (w_j x_ij)^2 / 2


def test_r1_of_a_network_and_its_gradient_are_those_of_a_loop_of_double_autograd() -> None:
    critic, images = small_critic(), torch.randn(4, 1, 4, 4)
    penalty, expected = r1(critic, images, images), penalty_by_autograd(critic, images)
    assert_close(penalty, expected)
    parameters = list(critic.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(penalty.mean(), parameters, allow_unused=True),
        torch.autograd.grad(expected.mean(), parameters, allow_unused=True),
        strict=True,
    ):
        assert (ours is None and theirs is None) or torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_every_penalty_is_that_of_finite_differences(name: str) -> None:
    critic = small_critic()
    reals, fakes = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    weight = critic[0].weight  # type: ignore[index]

    def value() -> Tensor:
        torch.manual_seed(1)  # so that the points between are the same
        return PENALTIES[name].of(critic, reals, fakes).mean()

    (gradient,) = torch.autograd.grad(value(), weight)
    direction, step = F.normalize(torch.randn_like(weight).flatten(), dim=0).view_as(weight), 1e-2
    with torch.no_grad():
        weight.add_(direction, alpha=step)
        above = value()
        weight.sub_(direction, alpha=2 * step)
        below = value()
    assert_close((above - below) / (2 * step), (gradient * direction).sum(), rtol=5e-3, atol=5e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_only_the_critic_gets_gradients(name: str) -> None:
    critic = small_critic()
    reals, fakes = (torch.randn(3, 1, 4, 4).requires_grad_() for _ in range(2))
    PENALTIES[name].of(critic, reals, fakes).mean().backward()
    assert reals.grad is None and fakes.grad is None
    assert all(
        (weight.grad != 0).any() for weight in critic.parameters() if weight.dim() > 1 and weight.grad is not None
    )


def test_the_gradient_penalty_of_a_plane_is_its_slopes_distance_from_one() -> None:
    def critic(images: Tensor) -> Tensor:
        return images @ torch.tensor([3.0, 4.0])

    assert_close(gradient_penalty(critic, REALS, FAKES), torch.full((3,), 16.0))


def test_the_gradient_penalty_is_taken_between_each_real_and_its_fake_at_a_point_of_its_own() -> None:
    seen: list[Tensor] = []

    def critic(images: Tensor) -> Tensor:
        seen.append(images.detach().clone())
        return images.sum(1)

    reals, fakes = torch.tensor([[0.0, 10.0]]).repeat(4000, 1), torch.tensor([[1.0, 30.0]]).repeat(4000, 1)
    torch.manual_seed(0)
    with torch.no_grad():
        gradient_penalty(critic, reals, fakes)
    share = torch.as_tensor(seen[0])[:, 0]
    assert_close(torch.as_tensor(seen[0])[:, 1], 10 + 20 * share)  # on the line between the two
    # Uniform on [0, 1]: mean 1/2 and variance 1/12, each within four standard errors.
    assert abs(share.mean() - 0.5) < 4 * (1 / 12 / 4000) ** 0.5
    assert abs(share.var() - 1 / 12) < 4 * (1 / 180 / 4000) ** 0.5


def test_the_gradient_penalty_of_a_flat_critic_has_finite_gradients() -> None:
    weights = torch.zeros(2, requires_grad=True)
    penalty = gradient_penalty(lambda images: images @ weights, REALS, FAKES)
    penalty.sum().backward()
    assert_close(penalty.detach(), torch.ones(3), atol=1e-4, rtol=0)
    assert weights.grad is not None and weights.grad.isfinite().all()


def test_the_slope_of_a_pack_is_over_all_of_its_images() -> None:
    pairs = torch.randn(3, 2, 2)

    def critic(packs: Tensor) -> Tensor:
        return (0.5 * packs.reshape(3, 4).square()).sum(1)

    assert_close(r1(critic, pairs, pairs), 0.5 * pairs.reshape(3, 4).square().sum(1))


def test_all_images_of_a_pack_are_mixed_by_one_number() -> None:
    seen: list[Tensor] = []

    def critic(packs: Tensor) -> Tensor:
        seen.append(packs.detach().clone())
        return packs.sum((1, 2))

    with torch.no_grad():
        gradient_penalty(critic, torch.zeros(50, 3, 2), torch.ones(50, 3, 2))
    shares = seen[0].flatten(1)  # of the fakes, at each number of each pack
    assert torch.equal(shares, shares[:, :1].expand_as(shares))
    assert len(shares[:, 0].unique()) == 50


def test_fewer_scores_than_images_or_packs_are_refused() -> None:
    with pytest.raises(ValueError, match="3 scores of 6 images; give packs"):
        r1(lambda images: images.reshape(3, 4).sum(1), torch.zeros(6, 2), torch.zeros(6, 2))


def test_the_slope_is_that_at_the_images_before_the_critic_augments_them() -> None:
    weights = torch.tensor([2.0, -1.0])

    def critic(images: Tensor) -> Tensor:
        return quadratic(weights)(3 * images.flip(1))

    # D(x) = sum_j w_j (3 x_(1-j))^2 / 2 has the slope 9 w_(1-j) x_j.
    assert_close(r1(critic, REALS, FAKES), 0.5 * (9 * weights.flip(0) * REALS).square().sum(1))


def test_penalties_are_computed_in_float32_whatever_autocast_says() -> None:
    critic, images = small_critic(), torch.randn(3, 1, 4, 4)
    expected = r1(critic, images, images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(r1(critic, images, images), expected)
    assert r1(critic, images.bfloat16(), images).dtype == torch.float32


def test_a_loss_with_a_penalty_compiles_whole_and_has_the_same_gradients() -> None:
    critic, images = small_critic(), torch.randn(3, 1, 4, 4)

    def loss() -> Tensor:
        return critic(images).mean() + r1(critic, images, images).mean()

    parameters = [weight for weight in critic.parameters() if weight.dim() > 1]
    expected = torch.autograd.grad(loss(), parameters)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")()
    for ours, theirs in zip(torch.autograd.grad(compiled, parameters), expected, strict=True):
        assert_close(ours, theirs)


def test_clipping_holds_every_parameter_within_the_limit_and_moves_no_other() -> None:
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[0.5, -0.5], [0.005, -0.01]]))
        module.bias.copy_(torch.tensor([0.02, 0.0]))
    WeightClipping(limit=0.01).after_update(module)
    assert_close(module.weight.detach(), torch.tensor([[0.01, -0.01], [0.005, -0.01]]))
    assert_close(module.bias.detach(), torch.tensor([0.01, 0.0]))
    assert module.weight.requires_grad
