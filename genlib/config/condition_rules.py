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
from genlib.config.metrics import DISTANCES, OF_CAPTIONS, OF_CONDITIONS
from genlib.methods import families_where
from genlib.methods.gan.config import GANConfig
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_thing

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def image_given(config: RunConfig) -> str | None:
    """The name of a condition that is an image."""
    return config.condition.name if isinstance(config.condition, ImageCondition) else None


def labels_are_taken_somehow(config: RunConfig) -> str | None:
    """condition: label needs method.conditioning, which no other condition goes with."""
    if isinstance(config.condition, LabelCondition) and not config.method.takes_labels:
        return (
            "condition is label, and method.conditioning is none: it says how a label is taken; use "
            "method.conditioning=concat."
        )
    if image_given(config) and config.method.takes_labels:
        return (
            f"condition is {config.condition.name}, and method.conditioning takes labels; use one of the two: "
            "method.conditioning=none, or condition.name=label."
        )
    return None


def images_are_given_to_some_methods(config: RunConfig) -> str | None:
    """low_resolution, masked and greyscale are for vae, iwae and gan, and for images."""
    if not (given := image_given(config)):
        return None
    if config.data.is_points:
        source = config.data.source
        return f"condition is {given}, and data.source {source} is points in the plane; use condition.name=none."
    if not config.method.takes_condition_image:
        families = families_where("takes_condition_image")
        return f"condition is {given}, which {config.method.name} does not take; use method.name {families}."
    return None


def images_are_given_to_some_networks(config: RunConfig) -> str | None:
    """unet needs low_resolution, masked or greyscale, which go with unet, or with mlp without batch norm."""
    networks, given = config.method.networks, image_given(config)
    if not given:
        for key, network in networks.items():
            if network.name == "unet":
                return (
                    f"method.{key} is unet, which goes from an image that is given to another, and none is; set "
                    "condition, or use dcgan."
                )
        return None
    if not config.method.takes_condition_image:
        return None
    network = networks["network"]
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


def images_given_are_judged_as_they_are(config: RunConfig) -> str | None:
    """A gan with a condition that is an image takes no augmentation."""
    method, given = config.method, image_given(config)
    if given and isinstance(method, GANConfig) and method.augmentation.name != "none":
        return (
            f"method.augmentation ({method.augmentation.name}) moves images away from what is given of them "
            f"(condition {given}); use method.augmentation.name=none."
        )
    return None


def hidden_pixels_have_no_bits(config: RunConfig) -> str | None:
    """registry.metric: bits_per_dim is of all pixels, masked has a likelihood of the hidden ones."""
    if config.condition.name != "masked" or config.registry.metric != "bits_per_dim":
        return None
    return (
        "registry.metric (bits_per_dim) is over all pixels, and with condition masked the likelihood is of the hidden "
        "ones, as many as the mask has; use log_likelihood."
    )


def metrics_of_conditions_need_one(config: RunConfig) -> str | None:
    """registry.metric: condition_* and fd_pairs need low_resolution, masked or greyscale, caption_* need caption."""
    if config.registry.metric in OF_CAPTIONS and not isinstance(config.condition, CaptionCondition):
        return (
            f"registry.metric ({config.registry.metric}) is of images drawn for captions, and condition is "
            f"{config.condition.name}; use {DISTANCES[config.evaluation.features]}."
        )
    if config.registry.metric not in OF_CONDITIONS or image_given(config):
        return None
    return (
        f"registry.metric ({config.registry.metric}) is of samples of what is given of an image, and condition is "
        f"{config.condition.name}; use {DISTANCES[config.evaluation.features]}."
    )


def captions_are_taken_by_code_priors(config: RunConfig) -> str | None:
    """condition: caption needs data.scenes, and method vq_vae without conditioning."""
    method, captions = config.method, isinstance(config.condition, CaptionCondition)
    if captions and config.data.scenes is None:
        return "condition is caption, and the data has none; set data.scenes, such as 20000."
    if captions and (not method.takes_captions or method.takes_labels):
        return (
            f"condition is caption, which {method.name} does not take{' beside labels' * method.takes_captions}; use "
            f"method.name {families_where('takes_captions')} without conditioning."
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
    if config.method.takes_labels:
        return "method.conditioning takes labels, and scenes have captions in their place; use none."
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
    images_given_are_judged_as_they_are,
    hidden_pixels_have_no_bits,
    metrics_of_conditions_need_one,
    captions_are_taken_by_code_priors,
    scenes_have_room,
)
