"""Models of images of which something is given."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from genlib.choices.discovery import choices_of_kind
from genlib.conditions.low_resolution.config import LowResolutionCondition
from genlib.conditions.masked.config import MaskedCondition
from genlib.layers.base import DataSpec
from genlib.losses.gaussians import kl_to_standard_normal
from genlib.losses.likelihoods import LikelihoodConfig
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood
from genlib.methods.gan.config import GANConfig
from genlib.methods.iwae import IWAEConfig
from genlib.methods.vae.config import VAEConfig
from genlib.models.base import Batch
from genlib.models.optimizer import OptimizerConfig
from genlib.networks.mlp.config import MLPConfig
from genlib.networks.unet.config import UNetConfig

SHAPE = (1, 8, 8)
UNET = UNetConfig(width=4, discriminator_layers=1)


def method_of(config, condition=None):
    torch.manual_seed(0)
    return config.build(DataSpec(SHAPE, condition=(condition or LowResolutionCondition()).build(SHAPE)))


def batch_of(method, count=6):
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    context = method.model.sampler.condition.context(images, torch.Generator().manual_seed(2))
    return Batch(images, None, context)


@pytest.mark.parametrize("network", [UNET, MLPConfig(hidden_sizes=[16])], ids=["unet", "mlp"])
def test_the_divergence_is_that_from_the_prior_of_what_is_given(network):
    vae = method_of(VAEConfig(network=network, latent_size=3))
    model, batch = vae.model, batch_of(vae)
    found = model.posterior(batch)
    mean, log_variance = model.encoder(batch.images, batch.context).chunk(2, dim=1)
    prior = model.sampler.network.of(batch.context)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(prior.mean, (0.5 * prior.log_variance).exp())).sum(1)
    assert_close(kl_to_standard_normal(*found), expected, atol=1e-4, rtol=1e-4)
    # A draw of the noise's posterior is one of the latents' posterior.
    noise = torch.randn(6, 3)
    assert_close(prior.at(found.at(noise)), mean + (0.5 * log_variance).exp() * noise, atol=1e-5, rtol=1e-4)


def test_importance_weights_are_those_of_latents_and_prior():
    vae = method_of(VAEConfig(network=UNET, latent_size=3))
    model, batch, noise = vae.model, batch_of(vae), torch.randn(6, 3)
    weights = model.weigh(batch, model.posterior(batch), noise)
    mean, log_variance = model.encoder(batch.images, batch.context).chunk(2, dim=1)
    prior, deviation = model.sampler.network.of(batch.context), (0.5 * log_variance).exp()
    latents = mean + deviation * noise
    of_prior = Normal(prior.mean, (0.5 * prior.log_variance).exp()).log_prob(latents).sum(1)
    assert_close(weights.log_ratio, of_prior - Normal(mean, deviation).log_prob(latents).sum(1), atol=1e-4, rtol=1e-4)


def test_only_hidden_pixels_have_a_likelihood():
    vae = method_of(VAEConfig(network=UNET, latent_size=3, sigma=0.3), MaskedCondition())
    model, batch, latents = vae.model, batch_of(vae), torch.randn(6, 3)
    decoded = torch.tanh(model.sampler.network(latents, batch.context))
    hidden = batch.context[:, -1:] < 0
    expected = torch.stack(
        [
            Normal(mean[where], 0.3).log_prob(image[where]).sum()
            for image, mean, where in zip(batch.images, decoded, hidden, strict=True)
        ]
    )
    assert_close(model.log_likelihood(batch, latents), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    choices_of_kind(LikelihoodConfig),
)
def test_a_likelihood_of_all_pixels_is_the_sum_of_its_parts(name):
    likelihood = choices_of_kind(LikelihoodConfig)[name]().build(0.3, "tanh").eval()
    images, raw = torch.rand(4, 3, 8, 8) * 2 - 1, torch.randn(4, 3, 8, 8)
    counted = (torch.rand(4, 1, 8, 8) < 0.4).float()
    parts = likelihood(images, raw, counted) + likelihood(images, raw, 1 - counted)
    assert_close(parts, likelihood(images, raw), atol=1e-3, rtol=1e-5)


def test_samples_keep_what_is_given():
    for condition in (LowResolutionCondition(), MaskedCondition()):
        gan = method_of(GANConfig(network=UNET, latent_size=3), condition)
        batch = batch_of(gan)
        fakes = gan.fakes(batch)
        assert gan.model.sampler.condition.deviation(fakes, batch.context).max() < 1e-3
        assert fakes.std() > 0.1


def test_a_generator_is_drawn_to_the_image_by_its_weight():
    plain = method_of(GANConfig(network=UNET, latent_size=3))
    drawn = method_of(GANConfig(network=UNET, latent_size=3, reconstruction_weight=7.0))
    batch, losses = batch_of(plain), []
    for gan in (plain, drawn):
        torch.manual_seed(3)
        losses.append(gan.loss("generator", batch))
    torch.manual_seed(3)
    distance = (drawn.fakes(batch) - batch.images).abs().mean()
    assert_close(losses[1]["total"] - losses[0]["total"], 7 * distance)
    assert_close(losses[1]["reconstruction"], distance)


def test_a_patch_discriminators_penalty_is_of_the_mean_over_an_images_patches():
    gan = method_of(GANConfig(network=UNET, latent_size=3, penalty={"name": "r1"}))
    batch = batch_of(gan)
    losses = gan.loss("discriminator", batch)
    reals = batch.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(gan.discriminator(reals, batch.context).mean(1).sum(), reals)
    assert_close(losses["penalty"], 0.5 * gradient.square().sum((1, 2, 3)).mean())
    losses["total"].backward()
    assert all(parameter.grad is not None for parameter in gan.discriminator.parameters())


def test_importance_sampled_training_takes_contexts_along():
    iwae = method_of(IWAEConfig(network=UNET, latent_size=3, importance_samples=4, optimizer=OptimizerConfig()))
    losses = iwae.loss("iwae", batch_of(iwae))
    losses["total"].backward()
    assert losses["total"].isfinite()
    assert all(parameter.grad is not None for parameter in iwae.model.sampler.network.prior.parameters())


def test_methods_that_take_no_images_say_so():
    from genlib.methods.autoencoder.config import AutoencoderConfig

    with pytest.raises(ValueError, match="takes no condition that is an image"):
        method_of(AutoencoderConfig())


def test_where_no_pixel_counts_there_is_nothing_to_pay():
    images, mean = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    nothing = torch.zeros(2, 1, 4, 4)
    assert torch.equal(gaussian_negative_log_likelihood(images, mean, 0.5, nothing), torch.zeros(2))
