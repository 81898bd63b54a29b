import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlib.config import MLPConfig, OptimizerConfig, VAEConfig
from genlib.methods import Batch, Sampler, build_method
from genlib.methods.vae import VAE, Posterior


def fixed_vae(sigma: float | None) -> VAE:
    """A linear VAE whose decoder ignores the latent's noise: its log-variance is tiny."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    with torch.no_grad():
        encoder[1].weight[2:] = 0
        encoder[1].bias[2:] = -30.0
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 2, 2)))
    return VAE(encoder, Sampler(decoder, 2, "sigmoid" if sigma is None else "tanh"), sigma, OptimizerConfig())


def test_the_loss_is_the_negative_elbo_of_torch_distributions():
    vae, images = fixed_vae(sigma=0.5), torch.rand(6, 1, 2, 2) * 2 - 1
    mean, log_variance = vae.model.encoder(images).chunk(2, 1)
    likelihood = Normal(torch.tanh(vae.model.decoder.network(mean)), 0.5).log_prob(images).flatten(1).sum(1)
    divergence = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum(1)
    losses = vae.loss("vae", Batch(images, None))
    assert_close(losses["reconstruction"], -likelihood.mean(), rtol=1e-4, atol=1e-4)
    assert_close(losses["kl"], divergence.mean())
    assert_close(losses["total"], losses["reconstruction"] + losses["kl"])


def test_the_bernoulli_decoder_reads_pixels_between_zero_and_one():
    vae = fixed_vae(sigma=None)
    black, white = -torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    with torch.no_grad():
        vae.model.decoder.network[0].weight.zero_()
        vae.model.decoder.network[0].bias.fill_(100.0)  # white for certain
    latents = torch.zeros(1, 2)
    assert_close(vae.log_likelihood(vae.model, white, latents), torch.zeros(1))
    assert_close(vae.log_likelihood(vae.model, black, latents), torch.tensor([-400.0]))
    assert not vae.is_density and fixed_vae(sigma=0.5).is_density
    assert_close(vae.sampler_of(vae.model)(torch.zeros(1, 2)), white)


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
    vae = fixed_vae(sigma=0.5)
    with torch.no_grad():
        vae.model.decoder.network[0].weight.mul_(0.02)
        vae.model.decoder.network[0].bias.zero_()
        vae.model.encoder[1].weight.zero_()
        vae.model.encoder[1].bias.zero_()  # the posterior is the prior, nearly the true posterior here
        images = torch.randn(2000, 1, 2, 2) * 0.5
        weight = vae.model.decoder.network[0].weight
        exact = torch.distributions.MultivariateNormal(torch.zeros(4), weight @ weight.T + 0.25 * torch.eye(4))
        likelihood = exact.log_prob(images.flatten(1)).mean()
        bound = -vae.loss("vae", Batch(images, None))["total"]
    assert bound <= likelihood + 1e-3
    assert_close(bound, likelihood, atol=0.01, rtol=0)


def test_every_network_and_likelihood_trains_and_samples_in_range():
    for likelihood in ("gaussian", "bernoulli"):
        config = VAEConfig(network=MLPConfig(hidden_sizes=[8]), latent_size=3, likelihood=likelihood)
        vae = build_method(config, (3, 8, 8))
        vae.loss("vae", Batch(torch.rand(4, 3, 8, 8) * 2 - 1, None))["total"].backward()
        assert all(parameter.grad is not None for parameter in vae.parameters())
        assert vae.sampler_of(vae.model)(torch.randn(2, 3) * 100).abs().max() <= 1
