"""What does not go together with a condition: each rule gives None, or what is wrong, why, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.conditions import (
    CaptionCondition,
    GreyscaleCondition,
    ImageCondition,
    LabelCondition,
    LowResolutionCondition,
)
from genlib.config.methods import GANConfig, IWAEConfig, VAEConfig, VQVAEConfig
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_thing

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def image_given(config: RunConfig) -> str | None:
    """The name of a condition that is an image."""
    return config.condition.name if isinstance(config.condition, ImageCondition) else None


def labels_are_taken_somehow(config: RunConfig) -> str | None:
    """condition: label needs method.conditioning, which no other condition goes with."""
    conditioning = getattr(config.method, "conditioning", "none")
    if isinstance(config.condition, LabelCondition) and conditioning == "none":
        return (
            "condition is label, and method.conditioning is none: it says how a label is taken; use "
            "method.conditioning=concat."
        )
    if image_given(config) and conditioning != "none":
        return (
            f"condition is {config.condition.name}, and method.conditioning ({conditioning}) takes labels; use one of "
            "the two: method.conditioning=none, or condition.name=label."
        )
    return None


def images_are_given_to_some_methods(config: RunConfig) -> str | None:
    """low_resolution, masked and greyscale are for vae, iwae and gan, and for images."""
    if not (given := image_given(config)):
        return None
    if config.data.is_points:
        source = config.data.source
        return f"condition is {given}, and data.source {source} is points in the plane; use condition.name=none."
    if not isinstance(config.method, VAEConfig | IWAEConfig | GANConfig):
        return f"condition is {given}, which a {config.method.name} does not take; use method.name vae, iwae or gan."
    return None


def images_are_given_to_some_networks(config: RunConfig) -> str | None:
    """unet needs low_resolution, masked or greyscale, which go with unet, or with mlp without batch norm."""
    method, given = config.method, image_given(config)
    networks = {"network": getattr(method, "network", None)}
    if isinstance(method, GANConfig):
        networks["discriminator_network"] = method.discriminator_network
    if not given:
        for key, network in networks.items():
            if network is not None and network.name == "unet":
                return (
                    f"method.{key} is unet, which goes from an image that is given to another, and none is; set "
                    "condition, or use dcgan."
                )
        return None
    network = networks["network"]
    assert network is not None
    if network.name not in ("unet", "mlp"):
        return f"condition is {given}, and {network.name} takes no image; use method.network={{name: unet}}, or mlp."
    if network.name == "mlp" and network.norm == "batch":
        return f"condition is {given}, whose images are generated one by one; use method.network.norm=none."
    return None


def conditions_fit_the_images(config: RunConfig) -> str | None:
    """condition.factor divides data.image_size, and greyscale is of data.channels: 3."""
    condition, size = config.condition, config.data.image_size
    if isinstance(condition, LowResolutionCondition) and size % condition.factor:
        fitting = [factor for factor in range(2, size + 1) if size % factor == 0]
        nearest = min(fitting, key=lambda factor: abs(factor - condition.factor))
        return f"condition.factor ({condition.factor}) must divide data.image_size ({size}); use {nearest}."
    if isinstance(condition, GreyscaleCondition) and config.data.channels != 3:
        return f"condition is greyscale, and data.channels is {config.data.channels}; use 3, or another condition."
    return None


def priors_of_images_are_gaussians(config: RunConfig) -> str | None:
    """A vae or iwae that an image is given to has p(z | c): divergence kl, latents normal, gradient reparameterized."""
    method, given = config.method, image_given(config)
    if not given or not isinstance(method, VAEConfig | IWAEConfig):
        return None
    if isinstance(method, VAEConfig) and method.divergence.name != "kl":
        return (
            f"method.divergence ({method.divergence.name}) compares with one prior of all images, and with condition "
            f"{given} each has its own; use kl."
        )
    if method.latents != "normal":
        return f"method.latents ({method.latents}) is one density for all images, and condition is {given}; use normal."
    if isinstance(method, IWAEConfig) and method.gradient != "reparameterized":
        return (
            f"method.gradient ({method.gradient}) is for a prior that is not learned, and with condition {given} it "
            "is; use reparameterized."
        )
    return None


def images_given_are_judged_as_they_are(config: RunConfig) -> str | None:
    """A gan that an image is given to takes no augmentation and no pack; reconstruction_weight needs such a gan."""
    method, given = config.method, image_given(config)
    if not isinstance(method, GANConfig):
        return None
    if not given and method.reconstruction_weight:
        return (
            f"method.reconstruction_weight ({method.reconstruction_weight}) is of the difference to the image that a "
            "condition was taken of, and condition is no image; set it to 0."
        )
    if given and method.augmentation.name != "none":
        return (
            f"method.augmentation ({method.augmentation.name}) moves images away from what is given of them "
            f"(condition {given}); use method.augmentation.name=none."
        )
    if given and method.pack > 1:
        return f"method.pack ({method.pack}) is for images without a condition, and condition is {given}; use 1."
    return None


def captions_are_taken_by_code_priors(config: RunConfig) -> str | None:
    """condition: caption needs data.scenes, and method vq_vae without conditioning; prior.guidance needs captions and
    prior.caption_dropout.
    """
    method, captions = config.method, isinstance(config.condition, CaptionCondition)
    if captions and config.data.scenes is None:
        return "condition is caption, and the data has none; set data.scenes, such as 20000."
    if captions and (not isinstance(method, VQVAEConfig) or method.conditioning != "none"):
        return (
            f"condition is caption, which a {method.name} does not take; use method.name vq_vae without conditioning."
        )
    if not isinstance(method, VQVAEConfig) or method.prior.guidance == 1:
        return None
    if not captions:
        return (
            f"method.prior.guidance ({method.prior.guidance}) is towards what a caption says, and condition is "
            f"{config.condition.name}; use 1."
        )
    if not method.prior.caption_dropout:
        return (
            f"method.prior.guidance ({method.prior.guidance}) compares with codes of no caption, and with "
            "method.prior.caption_dropout 0 none are learned; use 0.1, or guidance 1."
        )
    return None


def scenes_have_room(config: RunConfig) -> str | None:
    """data.scenes needs images in a frame of 27 pixels or more, without method.conditioning or data.stacked."""
    data = config.data
    if data.scenes is None:
        return None
    if data.is_points:
        return (
            f"data.source {data.source} is points in the plane, and data.scenes are of images; leave data.scenes out."
        )
    if data.stacked:
        return "data.scenes and data.stacked make different images of the source's; leave one of the two out."
    conditioning = getattr(config.method, "conditioning", "none")
    if conditioning != "none":
        return f"method.conditioning ({conditioning}) takes labels, and scenes have captions in their place; use none."
    if scene_thing(data.image_size) < SMALLEST_THING:
        return (
            f"data.image_size ({data.image_size}) is too small for data.scenes: {SCENE_SIDE} images of "
            f"{SMALLEST_THING} pixels side by side, with room to move; use {SCENE_SIDE * (SMALLEST_THING + 1)} or more."
        )
    return None


CONDITION_RULES = (
    labels_are_taken_somehow,
    images_are_given_to_some_methods,
    images_are_given_to_some_networks,
    conditions_fit_the_images,
    priors_of_images_are_gaussians,
    images_given_are_judged_as_they_are,
    captions_are_taken_by_code_priors,
    scenes_have_room,
)
