"""Adversarial losses on cases worked out by hand."""

import math

import pytest
import torch
from torch.nn.functional import logsigmoid
from torch.testing import assert_close

from genlib.losses.adversarial import LOSSES

REAL, FAKE = torch.tensor([-2.0, 0.0, 3.0]).double(), torch.tensor([1.0, -0.5, 4.0]).double()


def test_the_first_two_losses_are_the_logarithms_of_the_paper():
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
    ],
)
def test_least_squares_and_hinge_on_scores_worked_out_by_hand(name, discriminator, generator):
    assert_close(LOSSES[name].discriminator(REAL, FAKE), torch.tensor(discriminator).double())
    assert_close(LOSSES[name].generator(FAKE, None), torch.tensor(generator).double())


def test_the_relativistic_loss_sees_differences_of_pairs_alone():
    loss = LOSSES["relativistic"]
    assert loss.compares
    assert_close(loss.discriminator(REAL, FAKE), -logsigmoid(REAL - FAKE))
    assert_close(loss.generator(FAKE, REAL), -logsigmoid(FAKE - REAL))
    assert_close(loss.discriminator(REAL + 100, FAKE + 100), loss.discriminator(REAL, FAKE))


def test_the_relativistic_gradients_of_a_pair_are_opposite():
    for player in (
        LOSSES["relativistic"].discriminator,
        lambda real, fake: LOSSES["relativistic"].generator(fake, real),
    ):
        real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
        player(real, fake).sum().backward()
        assert_close(real.grad, -fake.grad)
        assert (real.grad != 0).all()


@pytest.mark.parametrize(
    ("name", "score", "expected"),
    [
        ("minimax", 0.0, math.log(4)),
        ("least_squares", 0.5, 0.25),
        ("hinge", 0.0, 2.0),
        ("relativistic", 0.0, math.log(2)),
    ],
)
def test_a_discriminator_that_cannot_tell_them_apart_loses_its_papers_value(name, score, expected):
    undecided = torch.tensor([score])
    assert_close(LOSSES[name].discriminator(undecided, undecided), torch.tensor([expected]))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_their_gradients_stay_finite_at_extreme_scores(name):
    real, fake = (torch.tensor([-1e4, 1e4, -1e4, 1e4]), torch.tensor([-1e4, 1e4, 1e4, -1e4]))
    for player in (LOSSES[name].discriminator, lambda real, fake: LOSSES[name].generator(fake, real)):
        inputs = real.clone().requires_grad_(), fake.clone().requires_grad_()
        values = player(*inputs)
        values.sum().backward()
        assert values.isfinite().all()
        assert all(scores.grad is None or scores.grad.isfinite().all() for scores in inputs)


def test_only_the_minimax_gradient_vanishes_where_the_discriminator_is_sure():
    for name in LOSSES:
        sure = torch.tensor([-20.0], requires_grad=True)
        (gradient,) = torch.autograd.grad(LOSSES[name].generator(sure, torch.tensor([0.0])).sum(), sure)
        assert (gradient.abs() < 1e-8) == (name == "minimax"), name
