"""On x | z ~ N(a z, s^2) with z ~ N(0, 1) everything is known exactly."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal
from torch.testing import assert_close

from genlib.layers.base import DataSpec
from genlib.losses.likelihoods.gaussian.module import Gaussian
from genlib.methods.hierarchical_vae.config import HierarchicalVAEConfig
from genlib.methods.iwae import IWAEConfig
from genlib.models.base import Batch
from genlib.models.importance_weighted import ImportanceWeighted
from genlib.models.optimizer import OptimizerConfig
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler
from genlib.models.variational import VariationalModel
from genlib.networks.mlp.config import MLPConfig

A, S = 1.5, 0.7
EXACT_GAIN, EXACT_VARIANCE = A / (A**2 + S**2), S**2 / (A**2 + S**2)  # of the posterior


class Affine(nn.Module):
    def __init__(self, gain: float, log_variance: float | None = None) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.log_variance = None if log_variance is None else nn.Parameter(torch.tensor(log_variance))

    def forward(self, inputs, labels=None):
        mean = self.gain * inputs
        if self.log_variance is None:
            return mean
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=1)


def linear_iwae(k: int, gain: float = 0.3, variance: float = 0.5, doubly: bool = False) -> ImportanceWeighted:
    encoder = Affine(gain, math.log(variance))
    model = VariationalModel(encoder, Sampler(Affine(A), 1, "identity"), Gaussian(S, "identity"), 1)
    return ImportanceWeighted(model, k, OptimizerConfig(), doubly)


def bound_of(k: int, **options) -> float:
    torch.manual_seed(0)
    points = Batch(torch.linspace(-2, 2, 9)[:, None].repeat(20_000 // k, 1), None)
    with torch.no_grad():
        return linear_iwae(k, **options).loss("iwae", points)["bound"].item()


def exact_log_likelihood() -> float:
    return Normal(0.0, math.hypot(A, S)).log_prob(torch.linspace(-2, 2, 9)).mean().item()


def exact_elbo(gain: float, variance: float) -> float:
    points = torch.linspace(-2, 2, 9)
    mean = gain * points
    reconstruction = Normal(A * mean, S).log_prob(points) - A**2 * variance / (2 * S**2)
    kl = 0.5 * (mean.square() + variance - 1 - math.log(variance))
    return (reconstruction - kl).mean().item()


def test_with_one_sample_the_bound_is_the_elbo():
    assert bound_of(1) == pytest.approx(exact_elbo(0.3, 0.5), abs=0.02)


def test_the_bound_grows_with_k_towards_the_exact_likelihood():
    bounds = [bound_of(k) for k in (1, 5, 50, 500)]
    assert bounds == sorted(bounds)
    assert bounds[1] - bounds[0] > 0.1
    assert bounds[-1] == pytest.approx(exact_log_likelihood(), abs=0.02)


def test_with_the_exact_posterior_every_k_gives_the_exact_likelihood():
    for k in (1, 7):
        assert bound_of(k, gain=EXACT_GAIN, variance=EXACT_VARIANCE) == pytest.approx(exact_log_likelihood(), abs=1e-4)


def gradients(method: ImportanceWeighted, draws: int) -> torch.Tensor:
    """Of the encoder's gain and log-variance and the decoder's gain, one row a draw."""
    model = method.model
    parameters = [model.encoder.gain, model.encoder.log_variance, model.sampler.network.gain]
    rows = []
    for _ in range(draws):
        loss = method.loss("iwae", Batch(torch.tensor([[1.3]]), None))["total"]
        rows.append(torch.stack(torch.autograd.grad(loss, parameters)))
    return torch.stack(rows)


def test_both_gradients_are_unbiased_and_agree():
    torch.manual_seed(0)
    plain = gradients(linear_iwae(3), 3000)
    doubly = gradients(linear_iwae(3, doubly=True), 3000)
    error = (plain.var(0) / len(plain) + doubly.var(0) / len(doubly)).sqrt()
    assert ((plain.mean(0) - doubly.mean(0)).abs() < 4 * error).all()
    assert (plain.mean(0).abs() > 8 * error).all()  # so that the agreement says something


def test_at_the_exact_posterior_the_doubly_reparameterized_gradient_is_zero_in_every_draw():
    torch.manual_seed(0)
    for k in (1, 8):
        doubly = gradients(linear_iwae(k, EXACT_GAIN, EXACT_VARIANCE, doubly=True), 20)[:, :2]
        plain = gradients(linear_iwae(k, EXACT_GAIN, EXACT_VARIANCE), 20)[:, :2]
        assert doubly.abs().max() < 1e-5
        assert plain.abs().max() > 0.05


def test_the_doubly_reparameterized_gradient_is_the_analytic_one_for_one_sample():
    """Of the ELBO: d/dgain and d/dlog variance in closed form."""
    torch.manual_seed(0)
    gain, variance, x = 0.3, 0.5, 1.3
    found = gradients(linear_iwae(1, gain, variance, doubly=True), 5000)
    mean = gain * x
    d_gain = -(A * (x - A * mean) / S**2 - mean) * x
    d_log_variance = -(-(A**2) * variance / (2 * S**2) - 0.5 * variance + 0.5)
    error = found.std(0) / len(found) ** 0.5
    assert abs(found[:, 0].mean() - d_gain) < 4 * error[0]
    assert abs(found[:, 1].mean() - d_log_variance) < 4 * error[1]


def test_the_draws_of_an_image_stay_with_it():
    torch.manual_seed(0)
    config = IWAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=2, importance_samples=4)
    method = config.build(DataSpec((1, 8, 8)))
    batch = Batch(torch.rand(3, 1, 8, 8) * 2 - 1, None)
    drawn = method.draw(batch, method.model.posterior(batch))
    expected = torch.stack(
        [method.model.log_likelihood(batch, latents) for latents in drawn.latents.unflatten(0, (4, 3))]
    )
    assert_close(method.by_draw(drawn.log_likelihood), expected)


def test_two_layers_weigh_a_draw_by_all_four_densities():
    torch.manual_seed(0)
    config = HierarchicalVAEConfig(
        network=MLPConfig(hidden_sizes=[8]), latent_size=3, upper_latent_size=2, upper_hidden_sizes=[4], sigma=0.3
    )
    model = config.build(DataSpec((1, 8, 8))).model
    batch, noise = Batch(torch.rand(5, 1, 8, 8) * 2 - 1, None), torch.randn(5, 5)

    def normal(posterior: Posterior) -> Normal:
        return Normal(posterior.mean, (0.5 * posterior.log_variance).exp())

    lower_posterior = model.posterior(batch)
    found = model.weigh(batch, lower_posterior, noise)
    lower = lower_posterior.at(noise[:, :3])
    upper_posterior = model.upper_posterior(lower)
    upper = upper_posterior.at(noise[:, 3:])
    expected = Normal(0.0, 1.0).log_prob(upper).sum(1) + normal(model.top_down.lower_prior(upper)).log_prob(lower).sum(
        1
    )
    expected = (
        expected - normal(lower_posterior).log_prob(lower).sum(1) - normal(upper_posterior).log_prob(upper).sum(1)
    )
    assert_close(found.log_ratio, expected, atol=1e-4, rtol=1e-4)
    mean = torch.tanh(model.top_down.decoder(lower))
    assert_close(found.log_likelihood, Normal(mean, 0.3).log_prob(batch.images).flatten(1).sum(1))


def test_the_sampler_of_two_layers_goes_from_the_top_down():
    torch.manual_seed(0)
    config = HierarchicalVAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, upper_latent_size=2)
    model = config.build(DataSpec((1, 8, 8))).model
    noise = torch.randn(4, 5)
    prior = model.top_down.lower_prior(noise[:, :2])
    assert model.sampler.latent_size == 5
    assert_close(model.sampler(noise), torch.tanh(model.top_down.decoder(prior.at(noise[:, 2:]))))


def test_doubly_reparameterized_gradients_are_refused_where_there_are_two_layers():
    model = HierarchicalVAEConfig(network=MLPConfig(hidden_sizes=[8])).build(DataSpec((1, 8, 8))).model
    with pytest.raises(ValueError, match="use the reparameterized ones"):
        ImportanceWeighted(model, 5, OptimizerConfig(), doubly_reparameterized=True)
