"""What does not go together with a condition: each rule gives None, or what is wrong, why, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import DISTANCES, OF_CAPTIONS, OF_CONDITIONS
from genlib.methods.gan.config import GANConfig
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_thing

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def images_are_given_to_some_networks(config: RunConfig) -> str | None:
    """unet needs low_resolution, masked or greyscale, which go with unet, or with mlp without batch norm."""
    networks, name = config.method.networks, config.condition.name
    if not config.condition.is_image:
        for key, network in networks.items():
            if network.name == "unet":
                return (
                    f"method.{key} is unet, which goes from an image that is the condition to another, and "
                    f"condition is {name}; set condition, or use dcgan."
                )
        return None
    if not config.method.takes_condition_image:
        return None
    network = networks["network"]
    if network.name not in ("unet", "mlp"):
        return f"condition is {name}, and {network.name} takes no image; use method.network={{name: unet}}, or mlp."
    if network.name == "mlp" and network.norm == "batch":
        return f"condition is {name}, whose images are generated one by one; use method.network.norm=none."
    return None


def images_given_are_judged_as_they_are(config: RunConfig) -> str | None:
    """A gan with a condition that is an image takes no augmentation."""
    method, name = config.method, config.condition.name
    if config.condition.is_image and isinstance(method, GANConfig) and method.augmentation.name != "none":
        return (
            f"method.augmentation ({method.augmentation.name}) moves images away from their condition "
            f"({name}); use method.augmentation.name=none."
        )
    return None


def metrics_of_conditions_need_one(config: RunConfig) -> str | None:
    """registry.metric: condition_* and fd_pairs need low_resolution, masked or greyscale, caption_* need caption."""
    if config.registry.metric in OF_CAPTIONS and not config.condition.is_text:
        return (
            f"registry.metric ({config.registry.metric}) is of images drawn for captions, and condition is "
            f"{config.condition.name}; use {DISTANCES[config.evaluation.features]}."
        )
    if config.registry.metric not in OF_CONDITIONS or config.condition.is_image:
        return None
    return (
        f"registry.metric ({config.registry.metric}) is of samples under a condition that is an image, and "
        f"condition is {config.condition.name}; use {DISTANCES[config.evaluation.features]}."
    )


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
    images_are_given_to_some_networks,
    images_given_are_judged_as_they_are,
    metrics_of_conditions_need_one,
    scenes_have_room,
)
