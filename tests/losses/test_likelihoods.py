import math

import pytest
import torch
from torch.distributions import Bernoulli, ContinuousBernoulli, Normal
from torch.testing import assert_close

from genlib.layers.outputs import continuous_bernoulli_mean
from genlib.losses.likelihoods.bernoulli.module import bernoulli_negative_log_likelihood
from genlib.losses.likelihoods.continuous_bernoulli.module import continuous_bernoulli_negative_log_likelihood
from genlib.losses.likelihoods.discretized_logistic.module import discretized_logistic_negative_log_likelihood
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood
from genlib.losses.likelihoods.gaussian_optimal.module import LEAST_SIGMA, optimal_sigma

GREYS = torch.arange(256).double() / 127.5 - 1


def test_gaussian_likelihood_agrees_with_torch_distributions():
    images, mean = torch.rand(4, 3, 8, 8) * 2 - 1, torch.rand(4, 3, 8, 8)
    expected = -Normal(mean, 0.3).log_prob(images).flatten(1).sum(1)
    assert_close(gaussian_negative_log_likelihood(images, mean, 0.3), expected)
    assert_close(gaussian_negative_log_likelihood(images, mean, torch.tensor(0.3)), expected)


def test_gaussian_likelihood_of_the_mean_itself_is_the_normalizer():
    image = torch.zeros(1, 1, 2, 2)
    expected = torch.tensor([4 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))])
    assert_close(gaussian_negative_log_likelihood(image, image, 0.5), expected)


def test_no_other_sigma_is_likelier_than_the_optimal_one():
    torch.manual_seed(0)
    images, mean = torch.randn(8, 2), torch.randn(8, 2)
    best = optimal_sigma(images, mean)
    at_best = gaussian_negative_log_likelihood(images, mean, best).sum()
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert gaussian_negative_log_likelihood(images, mean, best * factor).sum() > at_best
    assert_close(optimal_sigma(images, images), torch.tensor(LEAST_SIGMA))


def test_bernoulli_likelihood_agrees_with_torch_distributions():
    images, logits = torch.randint(0, 2, (4, 1, 8, 8)).float(), torch.randn(4, 1, 8, 8) * 3
    expected = -Bernoulli(logits=logits).log_prob(images).flatten(1).sum(1)
    assert_close(bernoulli_negative_log_likelihood(images, logits), expected)


def test_continuous_bernoulli_agrees_with_torch_distributions():
    images, logits = torch.rand(6, 1, 5, 5), torch.randn(6, 1, 5, 5) * 3
    theirs = ContinuousBernoulli(logits=logits.double())
    expected = -theirs.log_prob(images.double()).flatten(1).sum(1)
    assert_close(continuous_bernoulli_negative_log_likelihood(images, logits), expected.float(), atol=1e-4, rtol=1e-5)
    assert_close(continuous_bernoulli_mean(logits), theirs.mean.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("logit", [-40.0, -3.0, -0.06, -0.04, -1e-4, 0.0, 1e-4, 0.04, 0.06, 3.0, 40.0])
def test_continuous_bernoulli_is_a_density_with_its_mean_at_every_logit(logit):
    """By the trapezoidal rule in float64."""
    pixels = torch.linspace(0, 1, 20_001)[:, None]
    logits = torch.full_like(pixels, logit, requires_grad=True)
    likelihoods = -continuous_bernoulli_negative_log_likelihood(pixels, logits)
    density = likelihoods.detach().double().exp()
    assert torch.trapezoid(density, pixels[:, 0].double()).item() == pytest.approx(1, abs=1e-4)
    mean = torch.trapezoid(density * pixels[:, 0], pixels[:, 0].double()).item()
    assert continuous_bernoulli_mean(torch.tensor(logit)).item() == pytest.approx(mean, abs=1e-4)
    (slope,) = torch.autograd.grad(likelihoods.sum(), logits)
    # d log p / d logit = x - mean in an exponential family.
    assert_close(slope[:, 0], pixels[:, 0] - mean, atol=1e-3, rtol=0)


@pytest.mark.parametrize("mean", [-1.2, -1.0, -0.3, 0.0, 0.9999])
@pytest.mark.parametrize("log_scale", [-9.0, -4.0, -1.0, 2.0])
def test_discretized_logistic_sums_to_one_over_256_values(mean, log_scale):
    pixels = GREYS[:, None]
    found = discretized_logistic_negative_log_likelihood(
        pixels, torch.full_like(pixels, mean), torch.tensor(log_scale).double()
    )
    assert found.isfinite().all()
    assert torch.exp(-found).sum().item() == pytest.approx(1, abs=1e-5)


def test_discretized_logistic_is_the_difference_of_two_sigmoids_and_has_both_tails():
    pixels, mean, scale = GREYS[:, None].double(), 0.21, 0.1
    found = discretized_logistic_negative_log_likelihood(
        pixels, torch.full_like(pixels, mean), torch.tensor(scale).double().log()
    )
    below = torch.sigmoid((pixels[:, 0] - 1 / 255 - mean) / scale)
    above = torch.sigmoid((pixels[:, 0] + 1 / 255 - mean) / scale)
    below[0], above[-1] = 0, 1
    assert_close(torch.exp(-found), above - below, atol=1e-9, rtol=1e-6)


def test_discretized_logistic_has_finite_gradients_far_from_the_mean():
    mean = torch.full((256, 1), -1.0, requires_grad=True)
    log_scale = torch.tensor(-8.0, requires_grad=True)
    discretized_logistic_negative_log_likelihood(GREYS[:, None].float(), mean, log_scale).sum().backward()
    assert mean.grad.isfinite().all() and log_scale.grad.isfinite()
    assert mean.grad[-1] < 0  # a brighter mean is likelier for white


def test_points_have_likelihoods_too():
    points, mean = torch.randn(5, 2), torch.randn(5, 2)
    assert_close(gaussian_negative_log_likelihood(points, mean, 0.7), -Normal(mean, 0.7).log_prob(points).sum(1))
