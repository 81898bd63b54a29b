"""Autoencoders without a likelihood, and latents fitted after training."""

import pytest
import torch
from torch.testing import assert_close

from genlib.conditions.caption.config import CaptionCondition
from genlib.conditions.none import NoCondition
from genlib.data.making.prepare import prepare
from genlib.layers.base import DataSpec
from genlib.methods.autoencoder.config import AutoencoderConfig
from genlib.methods.vae_gan.config import VAEGANConfig
from genlib.methods.vq_vae.config import CodePriorConfig, VQVAEConfig
from genlib.models.base import Batch
from genlib.models.codes import Drawing
from genlib.models.latents import GaussianLatents, MixtureLatents
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.mlp.config import MLPConfig
from genlib.training.settle import settle, spec_of, train_batches
from tests.family import tiny_config

DIGITS = DataSpec((1, 8, 8), classes=3)


def images(count=6):
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.rand(count, 1, 8, 8, generator=generator) * 2 - 1, torch.arange(count) % 3)


def test_the_regularized_autoencoders_loss_is_its_three_terms():
    torch.manual_seed(0)
    config = AutoencoderConfig(network=MLPConfig(hidden_sizes=[8]), latent_penalty=0.5, decoder_penalty=0.1)
    method = config.build(DIGITS)
    batch = images()
    latents = method.model.encode(batch)
    error = (batch.images - method.model.reconstruct(batch)).flatten(1).square().sum(1).mean()
    weights = sum(weight.square().sum() for weight in method.model.sampler.network.parameters())
    expected = error + 0.5 * (latents.square().sum(1) / 2).mean() + 0.1 * weights
    assert_close(method.loss("autoencoder", batch)["total"], expected)


def test_a_fitted_gaussian_has_the_latents_mean_and_covariance():
    torch.manual_seed(0)
    root = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])  # the third dimension is unused
    latents = torch.randn(20_000, 3) @ root.T + torch.tensor([1.0, -2.0, 3.0])
    fitted = GaussianLatents(3)
    fitted.fit(latents)
    drawn = fitted(torch.randn(20_000, 3))
    assert_close(drawn.mean(0), latents.mean(0), atol=0.06, rtol=0)
    assert_close(torch.cov(drawn.T), torch.cov(latents.T), atol=0.15, rtol=0)


def test_a_fitted_mixture_has_its_components_with_their_weights():
    torch.manual_seed(0)
    which = (torch.rand(6000) < 0.25).float()[:, None]
    latents = torch.randn(6000, 2) * 0.1 + which * 8 - 4
    fitted = MixtureLatents(2, 2)
    fitted.fit(latents)
    assert fitted.noise_size == 3
    drawn = fitted(torch.randn(6000, 3))
    upper = drawn[:, 0] > 0
    assert upper.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert_close(drawn[upper].mean(0), torch.tensor([4.0, 4.0]), atol=0.05, rtol=0)
    assert_close(drawn[~upper].std(0), torch.tensor([0.1, 0.1]), atol=0.01, rtol=0)


def test_fewer_latents_than_components_make_fewer_components():
    fitted = MixtureLatents(2, 5)
    fitted.fit(torch.randn(3, 2))
    assert (fitted.weights > 0).sum() == 3
    assert fitted(torch.randn(50, 3)).isfinite().all()


@pytest.mark.parametrize("name", ["autoencoder_digits", "vae_digits", "iwae_digits", "vae_gan_digits", "cvae_digits"])
def test_every_encoder_model_can_be_sampled_from_latents_fitted_to_its_own(genlib_home, name):
    config = tiny_config(name)
    method = config.method.model_copy(update={"latents": "gaussian"})
    dataset = prepare(config.data)
    torch.manual_seed(0)
    model = method.build(spec_of(dataset, NoCondition())).model
    settle(model, dataset, config.data)
    batches = train_batches(dataset, torch.device("cpu"), binarize=False)
    latents = torch.cat([model.encode(batch) for batch in batches])
    drawn = model.sampler.latents(torch.randn(20_000, model.sampler.latent_size))
    assert_close(drawn.mean(0), latents.mean(0), atol=0.1, rtol=0.1)
    assert_close(drawn.std(0), latents.std(0), atol=0.05, rtol=0.1)


def vq_vae(**options):
    torch.manual_seed(0)
    prior = CodePriorConfig(width=8, layers=1, heads=2)
    config = VQVAEConfig(width=8, residual_blocks=1, downsamplings=1, codes=6, code_size=3, prior=prior, **options)
    return config.build(DIGITS)


def test_the_vq_vaes_loss_is_squared_error_and_commitment_a_number():
    method, batch = vq_vae(), images()
    losses = method.loss("autoencoder", batch)
    encodings = method.model.encoder(batch.images)
    chosen = method.quantizer.embed(method.quantizer(encodings).codes)
    assert_close(losses["commitment"], (encodings - chosen).square().mean())
    assert_close(losses["reconstruction"], (batch.images - method.model.reconstruct(batch)).square().mean())
    assert_close(losses["total"], losses["reconstruction"] + 0.25 * losses["commitment"])


def test_the_codebook_moves_after_the_autoencoders_update_and_not_after_the_priors():
    method, batch = vq_vae(), images()
    losses = method.loss("autoencoder", batch)
    statistics = {name: losses[name] for name in ("counts", "sums", "candidates")}
    before = method.quantizer.codebook.clone()
    method.after_update("prior", {})
    assert torch.equal(method.quantizer.codebook, before)
    method.after_update("autoencoder", statistics)
    assert not torch.equal(method.quantizer.codebook, before)


def test_the_prior_learns_codes_and_leaves_the_autoencoder_alone():
    method, batch = vq_vae(conditioning="concat"), images()
    method.loss("prior", batch)["total"].backward()
    assert all(parameter.grad is None for parameter in method.model.encoder.parameters())
    assert all(parameter.grad is None for parameter in method.model.code_decoder.decoder.parameters())
    assert all(parameter.grad is not None for parameter in method.model.code_decoder.prior.parameters())


def captioned():
    """A method, and a batch with captions."""
    condition = CaptionCondition().build((1, 8, 8), [str(digit) for digit in range(10)])
    prior = CodePriorConfig(width=8, layers=1, heads=2, caption_dropout=0.0)
    torch.manual_seed(0)
    config = VQVAEConfig(width=8, residual_blocks=1, downsamplings=1, codes=6, code_size=3, prior=prior)
    method = config.build(DataSpec((1, 8, 8), condition=condition))
    texts = ["a four above a seven", "two sevens and a one", "an eight", "a thin one at the top"]
    return method, Batch(images(4).images, None, condition.encode(texts))


def test_the_priors_loss_weighs_the_words_and_the_codes():
    method, batch = captioned()
    losses = method.loss("prior", batch)
    codes = method.quantizer(method.model.encoder(batch.images)).codes.flatten(1)
    prior = method.model.code_decoder.prior
    of_words, of_codes = prior.joint(codes, batch.context)
    said = [list(row[: (row > 0).sum() + 1]) for row in batch.context]  # with the first end
    nats = [
        -of_words[row, place].log_softmax(-1)[word]
        for row, words in enumerate(said)
        for place, word in enumerate(words)
    ]
    assert len(nats) == 5 + 1 + 5 + 1 + 2 + 1 + 6 + 1
    assert_close(losses["words"], torch.stack(nats).mean())
    assert_close(losses["codes"], -of_codes.log_softmax(-1).gather(2, codes[..., None]).mean())
    assert_close(losses["total"], 0.125 * losses["words"] + 0.875 * losses["codes"])


def test_captions_that_are_left_out_teach_no_words():
    method, batch = captioned()
    method.caption_dropout = 1.0
    losses = method.loss("prior", batch)
    prior = method.model.code_decoder.prior
    codes = method.quantizer(method.model.encoder(batch.images)).codes.flatten(1)
    nothing = prior(codes, torch.zeros_like(batch.context))
    assert losses["words"] == 0
    assert_close(losses["codes"], -nothing.log_softmax(-1).gather(2, codes[..., None]).mean())
    method.caption_dropout = 0.5
    torch.manual_seed(0)
    some = method.loss("prior", batch)["words"]
    torch.manual_seed(0)
    left_out = torch.rand(4) < 0.5
    assert 0 < left_out.sum() < 4
    expected = prior.word_nats(batch.context)[~left_out]
    assert_close(some, expected.sum() / (expected > 0).sum())


def test_guidance_needs_no_other_model():
    method, batch = captioned()
    network, noise = method.eval().model.code_decoder, torch.randn(4, 16)
    plain = network(noise, batch.context)
    network.drawing = Drawing(guidance=0.0)
    without = network(noise, batch.context)
    assert torch.equal(without, network(noise, batch.context.flip(0)))
    network.drawing = Drawing(guidance=1.0 + 1e-9)
    assert_close(network(noise, batch.context), plain)


def test_a_vq_vaes_sample_is_a_function_of_its_noise_and_label():
    method = vq_vae(conditioning="concat").eval()
    noise, labels = torch.randn(4, 16), torch.tensor([0, 1, 2, 0])
    first = method.model.sampler(noise, labels)
    assert first.shape == (4, 1, 8, 8)
    assert torch.equal(first, method.model.sampler(noise, labels))
    assert not torch.equal(first, method.model.sampler(noise.flip(0), labels))


def vae_gan(**options):
    torch.manual_seed(0)
    return VAEGANConfig(network=DCGANConfig(width=2), latent_size=4, **options).build(DIGITS)


def test_each_of_the_vae_gans_networks_has_its_own_phase():
    method, batch = vae_gan(), images()
    own = {
        "encoder": method.model.encoder,
        "decoder": method.model.sampler,
        "discriminator": method.discriminator,
    }
    for phase in method.phases:
        method.requires_grad_(False)
        phase.trains.requires_grad_(True)
        method.loss(phase.name, batch)["total"].backward()
        with_gradients = {parameter for parameter in method.parameters() if parameter.grad is not None}
        assert with_gradients == set(own[phase.name].parameters())
        method.zero_grad()


def test_the_vae_gans_reconstruction_is_in_the_discriminators_features():
    method, batch = vae_gan(), images()
    others = batch.images.flip(0)
    wanted, found = (method.discriminator.features(pictures) for pictures in (batch.images, others))
    assert_close(method.reconstruction(batch, others), 0.5 * (wanted - found).square().sum(1).mean())
    assert_close(method.reconstruction(batch, batch.images), torch.tensor(0.0))


def test_beta_and_gamma_weigh_what_they_say():
    batch = images()
    torch.manual_seed(0)
    one = vae_gan(beta=1.0).loss("encoder", batch)
    ten = vae_gan(beta=10.0).loss("encoder", batch)
    assert_close(one["total"], one["kl"] + one["reconstruction"])
    assert_close(ten["total"], 10 * ten["kl"] + ten["reconstruction"])
    zero = vae_gan(gamma=0.0).loss("decoder", batch)
    assert_close(zero["total"], zero["adversarial"])


@pytest.mark.parametrize("conditioning", ["none", "concat"])
def test_a_vae_gan_samples_and_reconstructs_in_range(conditioning):
    model, batch = vae_gan(conditioning=conditioning).model, images()
    for pictures in (model.reconstruct(batch), model.sampler(torch.randn(6, 4), batch.labels)):
        assert pictures.shape == batch.images.shape and pictures.abs().max() <= 1
