import math

import torch
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.testing import assert_close

from genlib.losses.divergences import kl_to_standard_normal
from genlib.losses.likelihoods import bernoulli_negative_log_likelihood, gaussian_negative_log_likelihood


def test_kl_agrees_with_torch_distributions():
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    assert_close(kl_to_standard_normal(mean, log_variance), kl_divergence(posterior, Normal(0.0, 1.0)).sum(1))


def test_kl_is_zero_where_posterior_and_prior_agree_and_half_the_squared_mean_apart():
    assert_close(kl_to_standard_normal(torch.zeros(1, 4), torch.zeros(1, 4)), torch.zeros(1))
    assert_close(kl_to_standard_normal(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)), torch.tensor([12.5]))


def test_gaussian_likelihood_agrees_with_torch_distributions():
    images, mean = torch.rand(4, 3, 8, 8) * 2 - 1, torch.rand(4, 3, 8, 8)
    expected = -Normal(mean, 0.3).log_prob(images).flatten(1).sum(1)
    assert_close(gaussian_negative_log_likelihood(images, mean, 0.3), expected)


def test_gaussian_likelihood_of_the_mean_itself_is_the_normalizer():
    image = torch.zeros(1, 1, 2, 2)
    expected = torch.tensor([4 * (math.log(0.5) + 0.5 * math.log(2 * math.pi))])
    assert_close(gaussian_negative_log_likelihood(image, image, 0.5), expected)


def test_bernoulli_likelihood_agrees_with_torch_distributions():
    images, logits = torch.randint(0, 2, (4, 1, 8, 8)).float(), torch.randn(4, 1, 8, 8) * 3
    expected = -Bernoulli(logits=logits).log_prob(images).flatten(1).sum(1)
    assert_close(bernoulli_negative_log_likelihood(images, logits), expected)
