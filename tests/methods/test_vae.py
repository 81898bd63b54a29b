import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlib.config.load import load_config
from genlib.layers.base import DataSpec
from genlib.layers.likelihood import Likelihood
from genlib.layers.outputs import Output
from genlib.losses.divergences.beta_tc.config import BetaTCConfig
from genlib.losses.divergences.beta_tc.module import BetaTC
from genlib.losses.divergences.kl.config import KLConfig
from genlib.losses.divergences.kl.module import KL
from genlib.losses.divergences.mmd.config import MMDConfig
from genlib.losses.divergences.mmd.module import MMD
from genlib.losses.likelihoods.bernoulli.module import Bernoulli
from genlib.losses.likelihoods.gaussian.module import Gaussian
from genlib.losses.likelihoods.gaussian_optimal.module import LEAST_SIGMA, OptimalGaussian
from genlib.methods.vae.config import VAEConfig
from genlib.methods.vae.method import VAE
from genlib.models.base import Batch
from genlib.models.optimizer import OptimizerConfig
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler
from genlib.models.variational import VariationalModel
from genlib.networks.mlp.config import MLPConfig
from tests.conftest import CONFIGS

LIKELIHOODS = (
    "gaussian",
    "gaussian_learned",
    "gaussian_optimal",
    "bernoulli",
    "continuous_bernoulli",
    "discretized_logistic",
)


class Linear(nn.Module):
    """A layer that takes labels and ignores them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs, labels=None):
        return self.layers(inputs)


def fixed_vae(likelihood: Likelihood, output: Output) -> VAE:
    """A linear VAE whose decoder ignores the latent's noise: its log-variance is tiny."""
    encoder = nn.Linear(4, 4)
    with torch.no_grad():
        encoder.weight[2:] = 0
        encoder.bias[2:] = -30.0
    decoder = Linear(nn.Linear(2, 4), nn.Unflatten(1, (1, 2, 2)))
    model = VariationalModel(Linear(nn.Flatten(), encoder), Sampler(decoder, 2, output), likelihood, 2)
    return VAE(model, KL(), OptimizerConfig())


def test_the_loss_is_the_negative_elbo_of_torch_distributions():
    vae, images = fixed_vae(Gaussian(0.5, "tanh"), "tanh"), torch.rand(6, 1, 2, 2) * 2 - 1
    mean, log_variance = vae.model.encoder(images).chunk(2, 1)
    likelihood = Normal(torch.tanh(vae.model.sampler.network(mean)), 0.5).log_prob(images).flatten(1).sum(1)
    divergence = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    losses = vae.loss("vae", Batch(images, None))
    assert_close(losses["reconstruction"], -likelihood.mean(), rtol=1e-4, atol=1e-4)
    assert_close(losses["kl"], divergence.mean())
    assert_close(losses["total"], losses["reconstruction"] + losses["kl"])


def test_the_bernoulli_decoder_reads_pixels_between_zero_and_one():
    vae = fixed_vae(Bernoulli(), "sigmoid")
    black, white = -torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    with torch.no_grad():
        vae.model.sampler.network.layers[0].weight.zero_()
        vae.model.sampler.network.layers[0].bias.fill_(100.0)  # white for certain
    latents = torch.zeros(1, 2)
    assert_close(vae.model.log_likelihood(Batch(white, None), latents), torch.zeros(1))
    assert_close(vae.model.log_likelihood(Batch(black, None), latents), torch.tensor([-400.0]))
    assert_close(vae.model.sampler(torch.zeros(1, 2)), white)


def test_posterior_samples_are_reparameterized_with_the_posteriors_moments():
    torch.manual_seed(0)
    mean = torch.full((100_000, 1), 2.0, requires_grad=True)
    samples = Posterior(mean, torch.full((100_000, 1), 2 * torch.log(torch.tensor(3.0)))).sample()
    assert abs(samples.mean() - 2) < 0.05 and abs(samples.std() - 3) < 0.05
    (gradient,) = torch.autograd.grad(samples.sum(), mean)
    assert_close(gradient, torch.ones_like(mean))


def test_the_bound_is_below_the_exact_likelihood_of_a_linear_gaussian_model():
    """p(x) = N(b, W W^T + sigma^2 I) for a linear decoder; near 0 tanh is linear."""
    torch.manual_seed(0)
    vae = fixed_vae(Gaussian(0.5, "tanh"), "tanh")
    with torch.no_grad():
        layer = vae.model.sampler.network.layers[0]
        layer.weight.mul_(0.02)
        layer.bias.zero_()
        encoder = vae.model.encoder.layers[1]
        encoder.weight.zero_()
        encoder.bias.zero_()  # the posterior is the prior, nearly the true posterior here
        images = torch.randn(2000, 1, 2, 2) * 0.5
        covariance = layer.weight @ layer.weight.T + 0.25 * torch.eye(4)
        exact = torch.distributions.MultivariateNormal(torch.zeros(4), covariance)
        likelihood = exact.log_prob(images.flatten(1)).mean()
        bound = -vae.loss("vae", Batch(images, None))["total"]
    assert bound <= likelihood + 1e-3
    assert_close(bound, likelihood, atol=0.01, rtol=0)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_trains_and_samples_in_range(likelihood):
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, likelihood=likelihood)
    vae = config.build(DataSpec((3, 8, 8)))
    images = torch.randint(0, 256, (4, 3, 8, 8)) / 127.5 - 1
    vae.loss("vae", Batch(images, None))["total"].backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in vae.parameters())
    assert vae.model.sampler(torch.randn(2, 3) * 100).abs().max() <= 1 + 1e-6


def test_the_weights_of_a_draw_are_those_of_torch_distributions():
    torch.manual_seed(0)
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, sigma=0.3)
    model = config.build(DataSpec((1, 8, 8))).model
    batch, noise = Batch(torch.rand(5, 1, 8, 8) * 2 - 1, None), torch.randn(5, 3)
    mean, log_variance = posterior = model.posterior(batch)
    found = model.weigh(batch, posterior, noise)
    latents = mean + (0.5 * log_variance).exp() * noise
    log_prior = Normal(0.0, 1.0).log_prob(latents).sum(1)
    log_posterior = Normal(mean, (0.5 * log_variance).exp()).log_prob(latents).sum(1)
    assert_close(found.latents, latents)
    assert_close(found.log_ratio, log_prior - log_posterior)
    expected = Normal(model.sampler(latents), 0.3).log_prob(batch.images).flatten(1).sum(1)
    assert_close(found.log_likelihood, expected)


def test_several_draws_are_averaged():
    """The mean's variance falls as one over their number."""
    torch.manual_seed(0)
    network, batch = MLPConfig(hidden_sizes=[8]), Batch(torch.rand(1, 1, 8, 8) * 2 - 1, None)
    config = VAEConfig(network=network, latent_size=3, monte_carlo_samples=16)
    many = config.build(DataSpec((1, 8, 8)))
    one = VAE(many.model, many.divergence, OptimizerConfig())
    with torch.no_grad():
        of_one = torch.stack([one.loss("vae", batch)["reconstruction"] for _ in range(400)])
        of_many = torch.stack([many.loss("vae", batch)["reconstruction"] for _ in range(400)])
    assert abs(of_one.mean() - of_many.mean()) < 4 * of_one.std() / 20
    assert 10 < of_one.var() / of_many.var() < 25


def learned_sigma(likelihood: str) -> float:
    """What sigma comes out where the mean is 0 and cannot learn."""
    config = VAEConfig(network=MLPConfig(hidden_sizes=[1]), latent_size=1, likelihood=likelihood)
    model = config.build(DataSpec((1, 8, 8))).model
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.3
    raw = torch.zeros(64, 1, 8, 8)
    if likelihood == "gaussian_optimal":
        model.likelihood.begin_fit()
        model.likelihood(images, raw)
        model.likelihood.end_fit()
        return model.likelihood.sigma.item()
    optimizer = torch.optim.Adam([model.likelihood.log_sigma], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-model.likelihood(images, raw).mean()).backward()
        optimizer.step()
    return model.likelihood.log_sigma.exp().item()


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "gaussian_optimal"])
def test_sigma_reaches_the_closed_form_optimum(likelihood):
    images = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.3
    assert learned_sigma(likelihood) == pytest.approx(images.square().mean().sqrt().item(), rel=1e-3)


def test_the_fitted_sigma_is_that_of_all_images_whatever_batches_they_came_in():
    likelihood = OptimalGaussian("identity").eval()
    images, known = torch.randn(7, 1, 4, 4), (torch.rand(7, 1, 4, 4) < 0.3).float()
    for counted in (None, 1 - known):
        likelihood.begin_fit()
        for rows in (range(5), range(5, 7)):
            part = None if counted is None else counted[list(rows)]
            likelihood(images[list(rows)], torch.zeros(len(rows), 1, 4, 4), part)
        likelihood.end_fit()
        of_those = images if counted is None else images[counted == 1]
        assert_close(likelihood.sigma, of_those.square().mean().sqrt())


def test_the_fitted_sigma_of_images_that_come_back_exactly_is_the_least_one():
    likelihood = OptimalGaussian("identity").eval()
    likelihood.begin_fit()
    likelihood(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    likelihood.end_fit()
    assert_close(likelihood.sigma, torch.tensor(LEAST_SIGMA))
    assert likelihood(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)).isfinite().all()


def test_the_optimal_sigma_of_training_is_the_batchs_and_of_evaluation_what_was_fitted():
    likelihood = (
        VAEConfig(network=MLPConfig(hidden_sizes=[4]), likelihood="gaussian_optimal")
        .build(DataSpec((1, 8, 8)))
        .model.likelihood
    )
    images, raw = torch.full((2, 1, 8, 8), 0.5), torch.zeros(2, 1, 8, 8)
    of_half = Normal(0.0, 0.5).log_prob(torch.tensor(0.5)) * 64
    assert_close(likelihood.train()(images, raw), of_half.expand(2))
    assert_close(likelihood.eval()(images, raw), (Normal(0.0, 1.0).log_prob(torch.tensor(0.5)) * 64).expand(2))


def posterior_of(count: int = 32) -> tuple[Posterior, torch.Tensor]:
    torch.manual_seed(1)
    posterior = Posterior(torch.randn(count, 3), torch.randn(count, 3))
    return posterior, posterior.sample()


def test_beta_rises_over_the_warm_up_and_stays():
    posterior, latents = posterior_of()
    divergence = KL(beta=4.0, warm_up_steps=10)
    weights = []
    for step in (0, 5, 10, 100):
        divergence.begin_step(step)
        losses = divergence(*posterior, latents)
        weights.append((losses["divergence"] / losses["kl"]).item())
    assert weights == pytest.approx([0, 2, 4, 4])


def test_a_capacity_is_aimed_at_from_both_sides_and_rises():
    posterior, latents = posterior_of()
    kl = KL()(*posterior, latents)["kl"]
    divergence = KL(beta=10.0, capacity=2 * kl.item(), capacity_steps=100)
    for step, expected in ((0, 10 * kl), (50, 0 * kl), (100, 10 * kl), (200, 10 * kl)):
        divergence.begin_step(step)
        assert_close(divergence(*posterior, latents)["divergence"], expected, atol=1e-4, rtol=1e-4)


def test_free_nats_cost_a_constant_and_pull_at_nothing():
    mean = torch.full((4, 2), 0.1, requires_grad=True)
    losses = KL(free=0.5)(mean, torch.zeros(4, 2), mean)
    losses["divergence"].backward()
    assert_close(losses["divergence"], torch.tensor(1.0))
    assert_close(mean.grad, torch.zeros(4, 2))


def test_beta_tc_weighs_parts_that_sum_to_the_single_draws_kl():
    posterior, latents = posterior_of()
    even = BetaTC(1.0, 1.0, 1.0, rows=1000)(*posterior, latents)["divergence"]
    log_posterior = Normal(posterior.mean, (0.5 * posterior.log_variance).exp()).log_prob(latents).sum(1)
    assert_close(even, (log_posterior - Normal(0.0, 1.0).log_prob(latents).sum(1)).mean(), atol=1e-4, rtol=1e-4)
    heavier = BetaTC(1.0, 6.0, 1.0, rows=1000)(*posterior, latents)
    assert_close(heavier["divergence"], even + 5 * heavier["total_correlation"], atol=1e-4, rtol=1e-4)


def test_the_discrepancy_is_small_for_the_prior_and_large_away_from_it():
    torch.manual_seed(0)
    zeros = torch.zeros(512, 4)
    near = MMD(10.0, 0.0)(zeros, zeros, torch.randn(512, 4))
    far = MMD(10.0, 0.5)(zeros + 2, zeros, torch.randn(512, 4) + 2)
    assert abs(near["mmd"]) < 0.02 and far["mmd"] > 0.5
    assert_close(far["divergence"], 10 * far["mmd"] + 0.5 * torch.tensor(8.0))


@pytest.mark.parametrize("divergence", [KLConfig(beta=2.0, free_bits=0.1), BetaTCConfig(), MMDConfig(kl_weight=0.1)])
def test_every_divergence_comes_from_its_configuration_and_trains(divergence):
    config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, divergence=divergence)
    vae = config.build(DataSpec((1, 8, 8), rows=500))
    losses = vae.loss("vae", Batch(torch.rand(6, 1, 8, 8) * 2 - 1, None))
    losses["total"].backward()
    assert "kl" in losses and all(math.isfinite(value.item()) for value in losses.values())
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_the_shipped_wae_weighs_the_discrepancy_as_its_paper():
    """Tolstikhin et al. 2018, eq. 4: squared error of pixels in [0, 1], summed over an image, + 10 times the MMD."""
    config = load_config(CONFIGS / "wae_mmd_mnist.yaml").method
    config = config.model_copy(update={"network": MLPConfig(hidden_sizes=[8])})
    errors, discrepancies, totals = [], [], []
    for seed in range(3):
        torch.manual_seed(seed)
        vae = config.build(DataSpec((1, 28, 28), rows=500))
        images = torch.rand(8, 1, 28, 28)
        decoded = []
        vae.model.sampler.network.register_forward_hook(lambda module, inputs, raw, seen=decoded: seen.append(raw))
        losses = vae.loss("vae", Batch(2 * images - 1, None))
        in_unit_interval = (torch.tanh(decoded[0]) + 1) / 2
        errors.append((images - in_unit_interval).square().sum((1, 2, 3)).mean())
        discrepancies.append(losses["mmd"])
        totals.append(losses["total"])
    theirs = torch.stack(errors) + 10 * torch.stack(discrepancies)
    # The same but for a constant, the normalizer of the density.
    assert_close(torch.stack(totals).diff(), theirs.diff(), atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_the_papers_lambda_is_half_the_weight_times_the_variance(sigma):
    """As the weight's description says: loss = (2 / sigma^2) (squared error in [0, 1] + lambda MMD) + constant."""
    images, mean = torch.rand(2, 5, 1, 4, 4).unbind()
    likelihood = Gaussian(sigma, "identity")
    nats = -likelihood(2 * images - 1, 2 * mean - 1) + likelihood(2 * images - 1, 2 * images - 1)
    error = (images - mean).square().sum((1, 2, 3))
    weight, discrepancy = 10.0, 0.3
    assert_close(nats + weight * discrepancy, 2 / sigma**2 * (error + weight * sigma**2 / 2 * discrepancy))
