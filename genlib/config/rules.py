"""What does not go together: each rule gives None, or what is wrong, why, and the remedy.

Here are the rules between sections, which belong to no choice. The others stand in the choices that they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from genlib.choices.choice import Choice, choices_below
from genlib.choices.fields import sections_below
from genlib.choices.section import Section
from genlib.config.condition_rules import CONDITION_RULES
from genlib.config.launcher import nodes_share_the_processes
from genlib.config.metric_rules import metric_is_measured
from genlib.methods.gan.config import GANConfig, GradientPenaltySection
from genlib.methods.vae.config import VAEConfig
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig
from genlib.networks.unet.config import UNetConfig
from genlib.pixels.sizes import doublings, nearest_sizes

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

STRIDED = ("dcgan", "resnet", "r3gan", "unet")  # whose resolutions double from 4 to 7 pixels
OF_POINTS_ALONE = {"gaussian", "gaussian_learned", "gaussian_optimal"}


def networks_of(config: RunConfig) -> list[Network]:
    return list(config.method.networks.values())


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
    """Points in the plane have no pixels: only the mlp network, without augmentation."""
    method = config.method
    if not config.data.is_points:
        return None
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


def clipping_is_not_rescaled(config: RunConfig) -> str | None:
    """penalty: weight_clipping limits no weights that spectral_norm rescales."""
    method = config.method
    if not isinstance(method, GANConfig) or not method.spectral_norm or method.penalty.name != "weight_clipping":
        return None
    return (
        "method.spectral_norm rescales weights, so that method.penalty (weight_clipping) limits nothing; use one of "
        "the two."
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
    patches_fit_the_image_size,
    points_take_networks_for_vectors,
    points_take_gaussian_likelihoods,
    only_images_are_stacked_or_binarized,
    densities_are_not_of_binary_pixels,
    gradient_norms_are_per_image,
    adaptive_augmentation_reads_signs,
    clipping_is_not_rescaled,
    wasserstein_needs_a_limit,
    decompositions_need_company,
    inception_names_its_file,
    points_are_their_own_features,
    metric_is_measured,
    nodes_share_the_processes,
    *CONDITION_RULES,
)


def problems_of(run: RunConfig) -> Iterator[str]:
    """What does not go together in a run: by the rules of every choice in it, then by those between sections."""
    for key, choice in choices_below(run):
        for _, rule_of_choice in choice.rules():
            if problem := rule_of_choice(choice, run, key):
                yield problem
    for rule in BETWEEN_SECTIONS:
        if problem := rule(run):
            yield problem


def all_rules(section: type[Section]) -> dict[str, str]:
    """The docstring of every rule by its name: those between sections, and those of all choices below a section."""
    found = {rule.__name__: rule.__doc__ or "" for rule in BETWEEN_SECTIONS}
    for choice in sections_below(section):
        if issubclass(choice, Choice):
            found |= {name: rule.__doc__ or "" for name, rule in choice.rules()}
    return found
