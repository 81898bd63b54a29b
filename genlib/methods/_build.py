"""From a configuration to a Method."""

from __future__ import annotations

from typing import Literal

from torch import nn

from genlib.augmentation.ada import AdaptiveAugment
from genlib.augmentation.diffaugment import DiffAugment
from genlib.contexts.base import Condition
from genlib.layers.base import DataSpec, Enlarged, Given
from genlib.layers.build import build_discriminator, build_encoder, build_generator
from genlib.layers.discriminator import Discriminator
from genlib.layers.vector_quantizer import VectorQuantizer
from genlib.layers.vq import VQDecoder, VQEncoder
from genlib.losses.adversarial import load_loss
from genlib.losses.penalties import PENALTIES
from genlib.methods import MethodConfig
from genlib.methods.autoencoder.config import AutoencoderConfig
from genlib.methods.autoencoder.method import Autoencoder, AutoencoderModel
from genlib.methods.gan.config import (
    ADAConfig,
    DiffAugmentConfig,
    GANConfig,
    GradientPenaltySection,
    WeightClippingConfig,
)
from genlib.methods.gan.method import GAN, LazyPenalty
from genlib.methods.hierarchical_vae.config import HierarchicalVAEConfig
from genlib.methods.hierarchical_vae.method import HierarchicalModel
from genlib.methods.iwae.config import IWAEConfig
from genlib.methods.iwae.method import IWAE
from genlib.methods.vae.config import BetaTCConfig, KLConfig, MMDConfig, VAEConfig
from genlib.methods.vae.method import VAE, PriorDecoder, VariationalModel
from genlib.methods.vae_gan.config import VAEGANConfig
from genlib.methods.vae_gan.method import VAEGAN, VAEGANModel
from genlib.methods.vq_vae.config import VQVAEConfig
from genlib.methods.vq_vae.method import VQVAE, CodeDecoder, VQModel
from genlib.methods.vq_vae.transformer import CodeTransformer
from genlib.models.base import Method, Output, Sampler
from genlib.models.codes import Drawing
from genlib.models.divergences import KL, MMD, BetaTC, Divergence
from genlib.models.latents import fitted_latents
from genlib.models.likelihoods import build_likelihood
from genlib.networks import Network
from genlib.networks.mlp.modules import mlp


def build_method(config: MethodConfig, data: DataSpec) -> Method:
    """The method that a configuration describes, its weights drawn from the global generator.

    ValueError for a conditional method on data without labels, and for one that takes no images where some are given.
    """
    classes = classes_taken(config, data)
    match config:
        case AutoencoderConfig():
            return Autoencoder(
                autoencoder_model(config, data, classes),
                config.optimizer,
                config.latent_penalty,
                config.decoder_penalty,
            )
        case VAEConfig():
            divergence = build_divergence(config, data.rows)
            return VAE(
                variational_model(config, data, classes), divergence, config.optimizer, config.monte_carlo_samples
            )
        case IWAEConfig():
            doubly = config.gradient == "doubly_reparameterized"
            return IWAE(variational_model(config, data, classes), config.importance_samples, config.optimizer, doubly)
        case HierarchicalVAEConfig():
            return IWAE(hierarchical_model(config, data), config.importance_samples, config.optimizer)
        case VQVAEConfig():
            prior = config.prior
            return VQVAE(
                vq_model(config, data, classes),
                config.commitment,
                config.optimizer,
                prior.optimizer,
                config.autoencoder_share,
                prior.caption_weight,
                prior.caption_dropout,
            )
        case VAEGANConfig():
            return build_vae_gan(config, data, classes)
        case GANConfig():
            return build_gan(config, data, classes)


def build_sampler(config: MethodConfig, data: DataSpec) -> Sampler:
    """The sampler of `build_method`, for one whose weights are loaded: a GAN's without its discriminator.

    ValueError as of `build_method`.
    """
    if isinstance(config, GANConfig):
        return gan_sampler(config, data, classes_taken(config, data))
    return build_method(config, data).model.sampler


def classes_taken(config: MethodConfig, data: DataSpec) -> int:
    """How many labels the method's networks take, 0 for none; ValueError where method and data do not go together."""
    classes = 0
    if conditional(config):
        classes = data.classes
        if not classes:
            raise ValueError("method.conditioning needs labels, which the data has not; set it to none.")
    if data.condition and data.condition.is_image and not isinstance(config, VAEConfig | IWAEConfig | GANConfig):
        raise ValueError(f"{config.name} takes no images that are given; use vae, iwae or gan.")
    if data.condition and data.condition.is_text and not isinstance(config, VQVAEConfig):
        raise ValueError(f"{config.name} takes no captions; use vq_vae.")
    return classes


def conditional(config: MethodConfig) -> bool:
    """Whether the method takes labels."""
    return getattr(config, "conditioning", "none") != "none"


def unbounded(data: DataSpec) -> Output:
    """Pixels lie in [-1, 1], points anywhere."""
    return "tanh" if len(data.shape) == 3 else "identity"


def autoencoder_model(config: AutoencoderConfig, data: DataSpec, classes: int) -> AutoencoderModel:
    encoder = build_encoder(config.network, data.shape, config.latent_size, Given(classes))
    return AutoencoderModel(encoder, decoding_sampler(config, data, classes, unbounded(data)))


def variational_model(config: VAEConfig | IWAEConfig, data: DataSpec, classes: int) -> VariationalModel:
    likelihood = build_likelihood(config.likelihood, config.sigma, unbounded(data))
    encoder = build_encoder(config.network, data.shape, 2 * config.latent_size, given_of(data, classes))
    sampler = decoding_sampler(config, data, classes, likelihood.output)
    return VariationalModel(encoder, sampler, likelihood, config.latent_size)


def decoding_sampler(
    config: AutoencoderConfig | VAEConfig | IWAEConfig, data: DataSpec, classes: int, output: Output
) -> Sampler:
    network: nn.Module = build_generator(
        config.network,
        config.latent_size,
        data.shape,
        given_of(data, classes),
        "concat" if data.condition else config.conditioning,
    )
    if data.condition:
        network = PriorDecoder(prior_of(config.network, data.condition, 2 * config.latent_size), network)
    latents = fitted_latents(config.latents, config.latent_size, config.mixture_components)
    return Sampler(network, config.latent_size, output, classes, latents, data.condition)


def given_of(data: DataSpec, classes: int) -> Given:
    """What the method's networks take beside their input."""
    return Given(classes, data.condition.shape if data.condition else None)


def prior_of(network: Network, condition: Condition, outputs: int) -> nn.Module:
    """From what is given, (B, K, h, w), to (B, outputs)."""
    size = condition.image_shape[1:]
    return nn.Sequential(Enlarged(condition.image_shape), build_encoder(network, (condition.shape[0], *size), outputs))


def build_divergence(config: VAEConfig, rows: int) -> Divergence:
    match config.divergence:
        case KLConfig() as kl:
            return KL(kl.beta, kl.warm_up_steps, kl.capacity, kl.capacity_steps, kl.free_bits)
        case BetaTCConfig() as tc:
            return BetaTC(tc.alpha, tc.beta, tc.gamma, rows)
        case MMDConfig() as mmd:
            return MMD(mmd.weight, mmd.kl_weight)


def hierarchical_model(config: HierarchicalVAEConfig, data: DataSpec) -> HierarchicalModel:
    lower, upper, hidden = config.latent_size, config.upper_latent_size, config.upper_hidden_sizes
    return HierarchicalModel(
        encoder=build_encoder(config.network, data.shape, 2 * lower),
        upper_encoder=mlp([lower, *hidden, 2 * upper], nn.Tanh),
        upper_decoder=mlp([upper, *reversed(hidden), 2 * lower], nn.Tanh),
        decoder=build_generator(config.network, lower, data.shape),
        likelihood=build_likelihood(config.likelihood, config.sigma, unbounded(data)),
        lower_size=lower,
        upper_size=upper,
    )


def vq_model(config: VQVAEConfig, data: DataSpec, classes: int) -> VQModel:
    sizes = (config.width, config.residual_blocks, config.downsamplings, config.code_size)
    side = data.shape[1] // 2**config.downsamplings
    prior = config.prior
    words, length = 0, 0
    if data.condition and data.condition.vocabulary:
        words, length = len(data.condition.vocabulary.words), data.condition.shape[0]
    network = CodeDecoder(
        CodeTransformer(
            config.codes, side**2, prior.width, prior.layers, prior.heads, classes, prior.dropout, words, length
        ),
        VectorQuantizer(config.codes, config.code_size, config.decay, config.least_usage),
        VQDecoder(data.shape, *sizes),
        side,
        Drawing(prior.temperature, prior.top_k, prior.guidance),
    )
    return VQModel(VQEncoder(data.shape, *sizes), network, classes, data.condition, config.output)


def build_vae_gan(config: VAEGANConfig, data: DataSpec, classes: int) -> VAEGAN:
    network, conditioning = config.network, config.conditioning
    given = Given(classes)
    decoder = build_generator(network, config.latent_size, data.shape, given, conditioning)
    encoder = build_encoder(network, data.shape, 2 * config.latent_size, given)
    latents = fitted_latents(config.latents, config.latent_size, config.mixture_components)
    return VAEGAN(
        VAEGANModel(encoder, Sampler(decoder, config.latent_size, unbounded(data), classes, latents)),
        discriminator_of_features(network, data, given, conditioning),
        config.encoder_optimizer,
        config.decoder_optimizer,
        config.discriminator_optimizer,
        config.beta,
        config.gamma,
    )


def discriminator_of_features(
    network: Network, data: DataSpec, given: Given, conditioning: Literal["none", "concat"]
) -> Discriminator:
    """ValueError for one of patches."""
    found = build_discriminator(network, data.shape, given, conditioning)
    if not isinstance(found, Discriminator):
        raise ValueError(f"vae_gan compares features of whole images, and {network.name} has none; use dcgan.")
    return found


def build_gan(config: GANConfig, data: DataSpec, classes: int) -> GAN:
    given, penalty = given_of(data, classes), config.penalty
    return GAN(
        generator=gan_sampler(config, data, classes),
        discriminator=build_discriminator(
            config.judging_network,
            data.shape,
            given,
            config.discriminator_conditioning if given else "none",
            config.pack,
            config.spectral_norm,
        ),
        adversarial_loss=load_loss(config.loss),
        generator_optimizer=config.generator_optimizer,
        discriminator_optimizer=config.discriminator_optimizer,
        discriminator_steps=config.discriminator_steps,
        penalty=LazyPenalty(PENALTIES[penalty.name], penalty.weight, penalty.every)
        if isinstance(penalty, GradientPenaltySection)
        else None,
        clip=penalty.limit if isinstance(penalty, WeightClippingConfig) else None,
        augmentation=build_augmentation(config),
        reconstruction_weight=config.reconstruction_weight,
    )


def gan_sampler(config: GANConfig, data: DataSpec, classes: int) -> Sampler:
    generator = build_generator(
        config.network,
        config.latent_size,
        data.shape,
        given_of(data, classes),
        "concat" if data.condition else config.conditioning,
    )
    return Sampler(generator, config.latent_size, unbounded(data), classes, condition=data.condition)


def build_augmentation(config: GANConfig) -> nn.Module | None:
    match config.augmentation:
        case DiffAugmentConfig() as asked:
            return DiffAugment(tuple(asked.policy))
        case ADAConfig() as asked:
            return AdaptiveAugment(asked.target, asked.speed_images)
    return None
