import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlib.losses.bounds import importance_weighted_bound
from genlib.losses.divergences.beta_tc.module import total_correlation_decomposition
from genlib.losses.divergences.kl.module import free_bits
from genlib.losses.divergences.mmd.module import maximum_mean_discrepancy
from genlib.losses.gaussians import kl_to_standard_normal, normal_log_density


def test_kl_agrees_with_torch_distributions():
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    assert_close(kl_to_standard_normal(mean, log_variance), kl_divergence(posterior, Normal(0.0, 1.0)).sum(1))


def test_kl_is_zero_where_posterior_and_prior_agree_and_half_the_squared_mean_apart():
    assert_close(kl_to_standard_normal(torch.zeros(1, 4), torch.zeros(1, 4)), torch.zeros(1))
    assert_close(kl_to_standard_normal(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)), torch.tensor([12.5]))


def test_normal_log_density_agrees_with_torch_distributions():
    x, mean, log_variance = torch.randn(7, 5, 3), torch.randn(5, 3), torch.randn(5, 3)
    expected = Normal(mean, (0.5 * log_variance).exp()).log_prob(x).sum(2)
    assert_close(normal_log_density(x, mean, log_variance), expected)


def test_free_bits_count_each_dimensions_mean_or_the_least():
    kl = torch.tensor([[0.1, 2.0, 0.0], [0.3, 4.0, 0.0]])
    assert_close(free_bits(kl, 0.5), torch.tensor(0.5 + 3.0 + 0.5))
    assert_close(free_bits(kl, 0.0), kl.sum(1).mean())


def slow_decomposition(latents, mean, log_variance, rows):
    """Chen et al. 2018, appendix C.1, with loops."""
    count, dimensions = latents.shape

    def log_q(i, j, dimension):
        std = math.exp(0.5 * log_variance[j, dimension])
        return Normal(mean[j, dimension], std).log_prob(latents[i, dimension]).item()

    parts = []
    for i in range(count):
        own = sum(log_q(i, i, k) for k in range(dimensions))
        joint = sum(math.exp(sum(log_q(i, j, k) for k in range(dimensions))) for j in range(count))
        aggregate = math.log(joint / (count * rows))
        marginals = sum(
            math.log(sum(math.exp(log_q(i, j, k)) for j in range(count)) / (count * rows)) for k in range(dimensions)
        )
        prior = Normal(0.0, 1.0).log_prob(latents[i]).sum().item()
        parts.append([own - aggregate, aggregate - marginals, marginals - prior])
    return torch.tensor(parts).T


def test_the_decomposition_is_that_of_a_slow_loop_and_sums_to_the_kl():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    latents = mean + (0.5 * log_variance).exp() * torch.randn(5, 3)
    found = total_correlation_decomposition(latents, mean, log_variance, rows=100)
    assert_close(torch.stack(list(found)), slow_decomposition(latents, mean, log_variance, 100), atol=1e-4, rtol=1e-4)
    log_posterior = Normal(mean, (0.5 * log_variance).exp()).log_prob(latents).sum(1)
    single_draw_kl = log_posterior - Normal(0.0, 1.0).log_prob(latents).sum(1)
    assert_close(sum(found), single_draw_kl, atol=1e-4, rtol=1e-4)


def test_equal_posteriors_share_no_information_but_for_the_estimates_known_offset():
    """All q(z | x_j) alike: log q(z) comes out log(rows) too low, and each marginal as well."""
    torch.manual_seed(0)
    mean, log_variance, rows = torch.full((64, 3), 0.5), torch.full((64, 3), -1.0), 640
    found = total_correlation_decomposition(mean + 0.6 * torch.randn(64, 3), mean, log_variance, rows)
    assert_close(found.mutual_information, torch.full((64,), math.log(rows)), atol=1e-4, rtol=0)
    assert_close(found.total_correlation, torch.full((64,), 2 * math.log(rows)), atol=1e-4, rtol=0)


def test_correlated_latents_have_more_total_correlation():
    torch.manual_seed(0)
    independent = torch.randn(400, 2)
    correlated = independent[:, :1].expand(-1, 2).contiguous()
    narrow = torch.full((400, 2), -3.0)
    apart, together = (
        total_correlation_decomposition(mean, mean, narrow, rows=400).total_correlation.mean()
        for mean in (independent, correlated)
    )
    assert together > apart + 0.5


def slow_discrepancy(x, y, scales):
    def kernel(a, b):
        squares = ((a - b) ** 2).sum().item()
        return sum(2 * len(a) * scale / (2 * len(a) * scale + squares) for scale in scales)

    count = len(x)
    others = [(i, j) for i in range(count) for j in range(count) if i != j]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in others) / (count * (count - 1))
    return within - 2 * sum(kernel(a, b) for a in x for b in y) / count**2


def test_the_discrepancy_is_that_of_a_slow_loop():
    torch.manual_seed(0)
    x, y = torch.randn(6, 3), torch.randn(6, 3) + 1
    expected = slow_discrepancy(x, y, (0.5, 2.0))
    assert maximum_mean_discrepancy(x, y, (0.5, 2.0)).item() == pytest.approx(expected, abs=1e-5)


def test_the_discrepancy_is_unbiased_at_nothing_and_sees_a_shift():
    torch.manual_seed(0)
    same = torch.stack([maximum_mean_discrepancy(torch.randn(16, 2), torch.randn(16, 2)) for _ in range(400)])
    assert abs(same.mean()) < 4 * same.std() / 20
    assert maximum_mean_discrepancy(torch.randn(256, 2), torch.randn(256, 2) + 2) > 0.5


def test_the_bound_of_one_weight_is_itself_and_of_equal_weights_too():
    weights = torch.tensor([[-3.0, 2.0]])
    assert_close(importance_weighted_bound(weights), weights[0])
    assert_close(importance_weighted_bound(weights.repeat(50, 1)), weights[0])
    assert_close(importance_weighted_bound(torch.tensor([[0.0], [math.log(3)]])), torch.tensor([math.log(2)]))
