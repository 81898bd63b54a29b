"""What does not go together: each rule gives None, or what is wrong, why, and the remedy.

Here are the rules between sections, which belong to no choice. The others stand in the choices that they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import gcd
from typing import TYPE_CHECKING

from genlib.choices.choice import Choice, choices_below
from genlib.choices.fields import sections_below
from genlib.choices.section import Section
from genlib.config.condition_rules import CONDITION_RULES
from genlib.config.launcher import nodes_share_the_processes
from genlib.config.metric_rules import metric_is_measured
from genlib.methods.autoencoder.config import AutoencoderConfig
from genlib.methods.gan.config import GANConfig, GradientPenaltySection
from genlib.methods.vae.config import MMDConfig, VAEConfig
from genlib.methods.vq_vae.config import VQVAEConfig
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.unet.config import UNetConfig
from genlib.pixels.sizes import doublings, nearest_sizes

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

STRIDED = ("dcgan", "resnet", "r3gan", "unet")  # whose resolutions double from 4 to 7 pixels
OF_POINTS_ALONE = {"gaussian", "gaussian_learned", "gaussian_optimal"}


def networks_of(config: RunConfig) -> list[Network]:
    method = config.method
    if isinstance(method, VQVAEConfig):
        return []
    return [method.network, method.judging_network] if isinstance(method, GANConfig) else [method.network]


def strides_reach_the_image_size(config: RunConfig) -> str | None:
    """dcgan, resnet and r3gan double a map of 4 to 7 pixels to the image's size."""
    size = config.data.image_size
    for network in networks_of(config):
        if network.name in STRIDED and not config.data.is_points and doublings(size) is None:
            choices = " or ".join(map(str, nearest_sizes(size)))
            return (
                f"data.image_size ({size}) cannot be made by {network.name}'s strides, which double 4 to 7 pixels; "
                f"use {choices}."
            )
    return None


def halvings_divide_the_image_size(config: RunConfig) -> str | None:
    """vq_vae halves the image to its map of codes."""
    method, size = config.method, config.data.image_size
    if not isinstance(method, VQVAEConfig) or size % 2**method.downsamplings == 0:
        return None
    return (
        f"data.image_size ({size}) must be divisible by 2 to the power of method.downsamplings "
        f"({method.downsamplings}); use {size // 2**method.downsamplings * 2**method.downsamplings}, or halve less."
    )


def heads_share_the_width(config: RunConfig) -> str | None:
    """vq_vae's prior.heads divide prior.width."""
    if not isinstance(config.method, VQVAEConfig):
        return None
    width, heads = config.method.prior.width, config.method.prior.heads
    if width % heads == 0:
        return None
    return (
        f"method.prior.heads ({heads}) must divide method.prior.width ({width}); use {gcd(heads, width)}, or a "
        f"width of {-(-width // heads) * heads}."
    )


def patches_fit_the_image_size(config: RunConfig) -> str | None:
    """unet's discriminator_layers halve the image, which must be 2 pixels or more before each."""
    method, size = config.method, config.data.image_size
    if not isinstance(method, GANConfig) or not isinstance(method.judging_network, UNetConfig):
        return None
    layers, most = method.judging_network.discriminator_layers, size.bit_length() - 1
    if layers <= most:
        return None
    where = "network" if method.discriminator_network is None else "discriminator_network"
    return (
        f"method.{where}.discriminator_layers ({layers}) cannot halve data.image_size ({size}) so often; use {most} or "
        "fewer."
    )


def points_take_networks_for_vectors(config: RunConfig) -> str | None:
    """Points in the plane have no pixels: only the mlp network, without augmentation, and not vq_vae."""
    method = config.method
    if not config.data.is_points:
        return None
    if isinstance(method, VQVAEConfig):
        return f"data.source {config.data.source} is points in the plane, and vq_vae's convolutions need images."
    for network in networks_of(config):
        if network.name != "mlp":
            return (
                f"data.source {config.data.source} is points in the plane, and {network.name} is made of "
                "convolutions; use method.network={name: mlp}."
            )
    if isinstance(method, GANConfig) and method.augmentation.name != "none":
        return (
            f"method.augmentation ({method.augmentation.name}) alters pixels, and data.source "
            f"{config.data.source} has none; use method.augmentation.name=none."
        )
    return None


def points_take_gaussian_likelihoods(config: RunConfig) -> str | None:
    """Only a Gaussian likelihood is one of points in the plane; the others are of pixels."""
    method = config.method
    likelihood = getattr(method, "likelihood", "gaussian")
    if not config.data.is_points or likelihood in OF_POINTS_ALONE:
        return None
    return (
        f"method.likelihood ({likelihood}) is one of pixels, and data.source {config.data.source} is points in the "
        f"plane; use {', '.join(sorted(OF_POINTS_ALONE))}."
    )


def only_images_are_stacked_or_binarized(config: RunConfig) -> str | None:
    """data.stacked makes three channels; neither it nor data.binarize is for points."""
    data = config.data
    if data.is_points and (data.stacked or data.binarize != "none"):
        return f"data.source {data.source} is points in the plane; leave out data.stacked and data.binarize."
    if data.stacked and data.channels != 3:
        return f"data.stacked makes images of 3 channels, data.channels is {data.channels}; use 3."
    return None


def densities_are_not_of_binary_pixels(config: RunConfig) -> str | None:
    """Binary pixels take a bernoulli likelihood: a density could be concentrated on them without end."""
    likelihood = getattr(config.method, "likelihood", "bernoulli")
    if config.data.binarize == "none" or likelihood == "bernoulli":
        return None
    return (
        f"data.binarize ({config.data.binarize}) makes pixels 0 or 1, which method.likelihood ({likelihood}) is no "
        "probability of; use bernoulli."
    )


def labels_need_a_place(config: RunConfig) -> str | None:
    """conditioning: batch_norm needs a decoder or generator with batch norm: dcgan, resnet, or mlp with norm: batch."""
    method = config.method
    if getattr(method, "conditioning", "none") != "batch_norm" or isinstance(method, VQVAEConfig):
        return None
    network = method.network
    if network.name in ("dcgan", "resnet") or (network.name == "mlp" and network.norm == "batch"):
        return None
    return (
        f"method.conditioning is batch_norm, and the {network.name} network has none there; use "
        + ("method.network.norm=batch, or " if network.name == "mlp" else "")
        + "method.conditioning=concat."
    )


def labels_stay_out_of_latents(config: RunConfig) -> str | None:
    """conditioning needs a KL that keeps the label out of an image's latents: not autoencoder, nor mmd alone."""
    method = config.method
    if not isinstance(method, AutoencoderConfig | VAEConfig) or method.conditioning == "none":
        return None
    divergence = method.divergence if isinstance(method, VAEConfig) else None
    unbound = isinstance(divergence, MMDConfig) and not divergence.kl_weight
    if isinstance(method, VAEConfig) and not unbound:
        return None
    remedy = "set method.divergence.kl_weight" if unbound else "use vae"
    return (
        f"method.conditioning is {method.conditioning}, but nothing keeps the label out of the latents of this "
        f"{method.name}, whose samples would not follow it; {remedy}, or set method.conditioning=none."
    )


def projection_needs_labels(config: RunConfig) -> str | None:
    """discriminator_conditioning: projection needs a conditional generator, and images judged one by one: no pack."""
    method = config.method
    if not isinstance(method, GANConfig) or method.discriminator_conditioning != "projection":
        return None
    if method.conditioning == "none":
        return (
            "method.discriminator_conditioning is projection, but method.conditioning is none; "
            "use concat or batch_norm for the generator."
        )
    if method.pack > 1:
        return (
            f"method.pack ({method.pack}) judges images of several labels together, and a projection is onto one "
            "label; use method.pack=1, or method.discriminator_conditioning=concat."
        )
    return None


def packs_fill_micro_batches(config: RunConfig) -> str | None:
    """Every micro-batch is a whole number of packs."""
    method, training = config.method, config.training
    pack = getattr(method, "pack", 1)
    part = training.batch_size // (training.parts)
    if part % pack == 0:
        return None
    return (
        f"method.pack ({pack}) must divide a micro-batch ({part} images); use a training.batch_size of "
        f"{training.batch_size // part * pack * max(1, part // pack)}."
    )


def gradient_norms_are_per_image(config: RunConfig) -> str | None:
    """Gradient penalties need a score that depends on its own image alone: no batch norm in the discriminator."""
    method = config.method
    if not isinstance(method, GANConfig) or not isinstance(method.penalty, GradientPenaltySection):
        return None
    network = method.judging_network
    if isinstance(network, DCGANConfig) and network.discriminator_norm == "batch":
        where = "network" if method.discriminator_network is None else "discriminator_network"
        return (
            f"method.penalty ({method.penalty.name}) is of each image's gradient, and batch norm mixes the images of a "
            f"batch (Gulrajani et al. 2017, section 4); use method.{where}.discriminator_norm=none."
        )
    return None


def adaptive_augmentation_reads_signs(config: RunConfig) -> str | None:
    """augmentation: ada goes by the sign of the reals' scores, which relativistic and wasserstein leave open."""
    method = config.method
    if not isinstance(method, GANConfig) or method.augmentation.name != "ada":
        return None
    if method.loss not in ("relativistic", "wasserstein"):
        return None
    return (
        f"method.augmentation (ada) goes by the sign of the reals' scores, and method.loss ({method.loss}) sees only "
        "differences of scores; use method.augmentation={name: diffaugment}."
    )


def spectral_norms_need_weights(config: RunConfig) -> str | None:
    """spectral_norm divides by a weight's largest singular value: not r3gan's, which begin at 0, nor clipped ones."""
    method = config.method
    if not isinstance(method, GANConfig) or not method.spectral_norm:
        return None
    if method.penalty.name == "weight_clipping":
        return (
            "method.spectral_norm rescales weights, so that method.penalty (weight_clipping) limits nothing; use one "
            "of the two."
        )
    if method.judging_network.name != "r3gan":
        return None
    return (
        "method.spectral_norm divides weights by their largest singular value, and r3gan's residual branches begin at "
        "0; use a penalty, such as method.penalty.name=r1_r2."
    )


def wasserstein_needs_a_limit(config: RunConfig) -> str | None:
    """loss: wasserstein needs a discriminator of limited slope: a penalty, or spectral norm without batch norm."""
    method = config.method
    if not isinstance(method, GANConfig) or method.loss != "wasserstein" or method.penalty.name != "none":
        return None
    network = method.judging_network
    has_batch_norm = isinstance(network, DCGANConfig) and network.discriminator_norm == "batch"
    if method.spectral_norm and not has_batch_norm:
        return None
    if method.spectral_norm:
        return (
            "method.loss is wasserstein, whose discriminator must be of limited slope, and batch norm undoes what "
            "method.spectral_norm limits; use discriminator_norm: none."
        )
    return (
        "method.loss is wasserstein, whose discriminator grows without end unless its slope is limited; set "
        "method.penalty.name=gradient_penalty, method.penalty.name=weight_clipping or method.spectral_norm=true."
    )


def decompositions_need_company(config: RunConfig) -> str | None:
    """beta_tc, mmd and norm: batch compare an image with the others of its micro-batch."""
    method, training = config.method, config.training
    part = training.batch_size // (training.parts)
    if part >= 2:
        return None
    if any(network.name == "mlp" and network.norm == "batch" for network in networks_of(config)):
        return f"method.network.norm (batch) is over a micro-batch, which has {part}; use a larger training.batch_size."
    if not isinstance(method, VAEConfig) or method.divergence.name == "kl":
        return None
    return (
        f"method.divergence ({method.divergence.name}) compares the images of a micro-batch, which has {part}; "
        "use a larger training.batch_size."
    )


def inception_names_its_file(config: RunConfig) -> str | None:
    """evaluation.features: inception needs its weights' file and hash."""
    evaluation = config.evaluation
    if evaluation.features == "inception" and not (evaluation.inception_weights and evaluation.inception_sha256):
        return (
            "evaluation.features is 'inception', which needs evaluation.inception_weights and "
            "evaluation.inception_sha256: the file of TF-Inception weights and its SHA-256."
        )
    return None


def points_are_their_own_features(config: RunConfig) -> str | None:
    """evaluation.features: points is for points in the plane, and for nothing else."""
    features, source = config.evaluation.features, config.data.source
    if config.data.is_points == (features == "points"):
        return None
    if config.data.is_points:
        return f"evaluation.features ({features}) is of images, and data.source {source} is points; use points."
    return (
        f"evaluation.features (points) is of points in the plane, and data.source {source} is images; use classifier."
    )


BETWEEN_SECTIONS: tuple[Callable[[RunConfig], str | None], ...] = (
    strides_reach_the_image_size,
    halvings_divide_the_image_size,
    heads_share_the_width,
    patches_fit_the_image_size,
    points_take_networks_for_vectors,
    points_take_gaussian_likelihoods,
    only_images_are_stacked_or_binarized,
    densities_are_not_of_binary_pixels,
    labels_need_a_place,
    labels_stay_out_of_latents,
    projection_needs_labels,
    packs_fill_micro_batches,
    gradient_norms_are_per_image,
    adaptive_augmentation_reads_signs,
    spectral_norms_need_weights,
    wasserstein_needs_a_limit,
    decompositions_need_company,
    inception_names_its_file,
    points_are_their_own_features,
    metric_is_measured,
    nodes_share_the_processes,
    *CONDITION_RULES,
)


def problems_of(run: RunConfig) -> Iterator[str]:
    """What does not go together in a run: by the rules between sections, then by those of every choice in it."""
    for rule in BETWEEN_SECTIONS:
        if problem := rule(run):
            yield problem
    for key, choice in choices_below(run):
        for _, rule_of_choice in choice.rules():
            if problem := rule_of_choice(choice, run, key):
                yield problem


def all_rules(section: type[Section]) -> dict[str, str]:
    """The docstring of every rule by its name: those between sections, and those of all choices below a section."""
    found = {rule.__name__: rule.__doc__ or "" for rule in BETWEEN_SECTIONS}
    for choice in sections_below(section):
        if issubclass(choice, Choice):
            found |= {name: rule.__doc__ or "" for name, rule in choice.rules()}
    return found
