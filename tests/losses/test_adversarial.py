"""Adversarial losses: cases worked out by hand, and what holds for every file of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from genlib.choices.discovery import choices_of_kind
from genlib.config.load import load_config
from genlib.errors import UserError
from genlib.losses.adversarial import AdversarialLoss
from tests.conftest import CONFIGS

LOSSES = {name: kind() for name, kind in choices_of_kind(AdversarialLoss).items()}
NAMES = list(LOSSES)
REAL, FAKE = torch.tensor([-2.0, 0.0, 3.0]).double(), torch.tensor([1.0, -0.5, 4.0]).double()


def test_the_first_two_losses_are_the_logarithms_of_the_paper() -> None:
    for name in ("minimax", "non_saturating"):
        expected = -torch.sigmoid(REAL).log() - (1 - torch.sigmoid(FAKE)).log()
        assert_close(LOSSES[name].discriminator(REAL, FAKE), expected)
    assert_close(LOSSES["minimax"].generator(FAKE, None), (1 - torch.sigmoid(FAKE)).log())
    assert_close(LOSSES["non_saturating"].generator(FAKE, None), -torch.sigmoid(FAKE).log())


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("least_squares", [(9 + 1) / 2, (1 + 0.25) / 2, (4 + 16) / 2], [0, 2.25 / 2, 9 / 2]),
        ("hinge", [3 + 2, 1 + 0.5, 0 + 5], [-1, 0.5, -4]),
        ("wasserstein", [3, -0.5, 1], [-1, 0.5, -4]),
    ],
)
def test_losses_without_logarithms_on_scores_worked_out_by_hand(
    name: str, discriminator: list[float], generator: list[float]
) -> None:
    assert_close(LOSSES[name].discriminator(REAL, FAKE), torch.tensor(discriminator).double())
    assert_close(LOSSES[name].generator(FAKE, None), torch.tensor(generator).double())


def test_the_relativistic_loss_sees_differences_of_pairs_alone() -> None:
    loss = LOSSES["relativistic"]
    assert_close(loss.discriminator(REAL, FAKE), -logsigmoid(REAL - FAKE))
    assert_close(loss.generator(FAKE, REAL), -logsigmoid(FAKE - REAL))
    assert_close(loss.discriminator(REAL + 100, FAKE + 100), loss.discriminator(REAL, FAKE))


@pytest.mark.parametrize(
    ("name", "score", "expected"),
    [
        ("minimax", 0.0, math.log(4)),
        ("least_squares", 0.5, 0.25),
        ("hinge", 0.0, 2.0),
        ("relativistic", 0.0, math.log(2)),
        ("wasserstein", 7.0, 0.0),
    ],
)
def test_a_discriminator_that_cannot_tell_them_apart_loses_its_papers_value(
    name: str, score: float, expected: float
) -> None:
    undecided = torch.tensor([score])
    assert_close(LOSSES[name].discriminator(undecided, undecided), torch.tensor([expected]))


def generator_gradient(name: str, fake: Tensor, real: Tensor) -> Tensor:
    fake = fake.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name].generator(fake, real).sum(), fake)
    return gradient


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_per_sample_and_depends_on_no_other_sample(name: str) -> None:
    loss = LOSSES[name]
    for values in (loss.discriminator(REAL, FAKE), loss.generator(FAKE, REAL)):
        assert values.shape == REAL.shape and values.dtype == REAL.dtype
    alone = [loss.discriminator(REAL[i : i + 1], FAKE[i : i + 1]) for i in range(3)]
    assert_close(loss.discriminator(REAL, FAKE), torch.cat(alone))
    assert_close(loss.generator(FAKE[:1], REAL[:1]), loss.generator(FAKE, REAL)[:1])


@pytest.mark.parametrize("name", NAMES)
def test_a_discriminator_that_tells_them_apart_loses_less_than_one_that_mistakes_them(name: str) -> None:
    high, low = torch.tensor([1.0]), torch.tensor([0.0])
    loss = LOSSES[name]
    assert loss.discriminator(high, low) < loss.discriminator(low, low)
    assert loss.discriminator(high, low) < loss.discriminator(high, high)
    assert loss.discriminator(low, high) > loss.discriminator(low, low)


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_is_drawn_to_higher_scores_from_where_training_starts(name: str) -> None:
    zero = torch.zeros(2)
    assert (generator_gradient(name, zero, zero) < -1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_minimax_gradient_vanishes_where_the_discriminator_is_sure(name: str) -> None:
    vanishes = generator_gradient(name, torch.tensor([-20.0]), torch.tensor([0.0])).abs().item() < 1e-8
    assert vanishes == (name == "minimax")


@pytest.mark.parametrize("name", NAMES)
def test_a_generator_sees_reals_exactly_if_its_loss_compares(name: str) -> None:
    loss = LOSSES[name]
    if loss.compares:
        assert not torch.equal(loss.generator(FAKE, REAL), loss.generator(FAKE, REAL + 1))
    else:
        assert torch.equal(loss.generator(FAKE, None), loss.generator(FAKE, REAL))


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_their_gradients_stay_finite_at_extreme_scores(name: str) -> None:
    real, fake = torch.tensor([-1e4, 1e4, -1e4, 1e4]), torch.tensor([-1e4, 1e4, 1e4, -1e4])
    loss = LOSSES[name]
    for player in (loss.discriminator, lambda real, fake: loss.generator(fake, real)):
        inputs = real.clone().requires_grad_(), fake.clone().requires_grad_()
        values = player(*inputs)
        values.sum().backward()
        assert values.isfinite().all()
        assert all(scores.grad is None or scores.grad.isfinite().all() for scores in inputs)


def test_an_unknown_loss_is_refused_with_the_nearest_and_the_known_ones() -> None:
    known = ", ".join(NAMES)
    with pytest.raises(UserError, match=f"method.loss.name 'hings' is unknown, did you mean 'hinge'.*known: {known}"):
        load_config(CONFIGS / "dcgan_digits.yaml", {"method.loss": "hings"})


def test_a_loss_is_written_as_its_name_alone() -> None:
    method = load_config(CONFIGS / "hinge_sngan_cifar10.yaml").method
    assert method.model_dump()["loss"] == "hinge"
