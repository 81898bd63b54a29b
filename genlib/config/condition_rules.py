"""What does not go together with a condition: each rule gives None, or what is wrong, why, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import DISTANCES, OF_CAPTIONS, OF_CONDITIONS
from genlib.methods.gan.config import GANConfig
from genlib.methods.iwae.config import IWAEConfig
from genlib.methods.vae.config import VAEConfig
from genlib.methods.vq_vae.config import VQVAEConfig
from genlib.pixels.sizes import SCENE_SIDE, SMALLEST_THING, scene_thing

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def images_are_given_to_some_methods(config: RunConfig) -> str | None:
    """low_resolution, masked and greyscale are for vae, iwae and gan, and for images."""
    if not config.condition.is_image or isinstance(config.method, VAEConfig | IWAEConfig | GANConfig):
        return None
    return (
        f"condition is {config.condition.name}, which a {config.method.name} does not take; use method.name vae, iwae "
        "or gan."
    )


def images_are_given_to_some_networks(config: RunConfig) -> str | None:
    """unet needs low_resolution, masked or greyscale, which go with unet, or with mlp without batch norm."""
    method, condition, name = config.method, config.condition, config.condition.name
    networks = {"network": getattr(method, "network", None)}
    if isinstance(method, GANConfig):
        networks["discriminator_network"] = method.discriminator_network
    if not condition.is_image:
        for key, network in networks.items():
            if network is not None and network.name == "unet":
                return (
                    f"method.{key} is unet, which goes from an image that is the condition to another, and "
                    f"condition is {name}; set condition, or use dcgan."
                )
        return None
    network = networks["network"]
    assert network is not None
    if network.name not in ("unet", "mlp"):
        return f"condition is {name}, and {network.name} takes no image; use method.network={{name: unet}}, or mlp."
    if network.name == "mlp" and network.norm == "batch":
        return f"condition is {name}, whose images are generated one by one; use method.network.norm=none."
    return None


def priors_of_images_are_gaussians(config: RunConfig) -> str | None:
    """A vae or iwae that an image is given to has p(z | c): divergence kl, latents normal, gradient reparameterized."""
    method, condition, name = config.method, config.condition, config.condition.name
    if not condition.is_image or not isinstance(method, VAEConfig | IWAEConfig):
        return None
    if isinstance(method, VAEConfig) and method.divergence.name != "kl":
        return (
            f"method.divergence ({method.divergence.name}) compares with one prior of all images, and with condition "
            f"{name} each has its own; use kl."
        )
    if method.latents != "normal":
        return f"method.latents ({method.latents}) is one density for all images, and condition is {name}; use normal."
    if isinstance(method, IWAEConfig) and method.gradient != "reparameterized":
        return (
            f"method.gradient ({method.gradient}) is for a prior that is not learned, and with condition {name} it "
            "is; use reparameterized."
        )
    return None


def images_given_are_judged_as_they_are(config: RunConfig) -> str | None:
    """A gan that an image is given to takes no augmentation and no pack; reconstruction_weight needs such a gan."""
    method, condition, name = config.method, config.condition, config.condition.name
    if not isinstance(method, GANConfig):
        return None
    if not condition.is_image and method.reconstruction_weight:
        return (
            f"method.reconstruction_weight ({method.reconstruction_weight}) is of the difference to the image that a "
            "condition was taken of, and condition is no image; set it to 0."
        )
    if condition.is_image and method.augmentation.name != "none":
        return (
            f"method.augmentation ({method.augmentation.name}) moves images away from what is given of them "
            f"(condition {name}); use method.augmentation.name=none."
        )
    if condition.is_image and method.pack > 1:
        return f"method.pack ({method.pack}) is for images without a condition, and condition is {name}; use 1."
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
        f"registry.metric ({config.registry.metric}) is of samples of what is given of an image, and condition is "
        f"{config.condition.name}; use {DISTANCES[config.evaluation.features]}."
    )


def captions_are_taken_by_code_priors(config: RunConfig) -> str | None:
    """condition: caption needs method vq_vae without conditioning; prior.guidance needs captions and
    prior.caption_dropout.
    """
    method, captions = config.method, config.condition.is_text
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
    images_are_given_to_some_methods,
    images_are_given_to_some_networks,
    priors_of_images_are_gaussians,
    images_given_are_judged_as_they_are,
    metrics_of_conditions_need_one,
    captions_are_taken_by_code_priors,
    scenes_have_room,
)
