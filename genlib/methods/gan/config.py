"""Settings of the generative adversarial network, its penalties and its augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_STEPS,
    MOST_UNITS,
    Section,
)
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig

if TYPE_CHECKING:
    AdversarialLossName = str
else:  # A loss is a file: a new one is known as soon as it is there.
    LOSSES = Path(__file__).parents[2] / "losses" / "adversarial"
    AdversarialLossName = Literal[tuple(sorted(file.stem for file in LOSSES.glob("[!_]*.py")))]


class NoPenalty(Section):
    """None."""

    name: Literal["none"] = "none"


class WeightClippingConfig(Section):
    """Every weight of the discriminator is held within limits (Arjovsky et al. 2017, Algorithm 1)."""

    name: Literal["weight_clipping"] = "weight_clipping"
    limit: float = Field(0.01, gt=0, le=LARGEST_WEIGHT, description="Largest absolute value of a weight")


class GradientPenaltySection(Section):
    weight: float = Field(10.0, gt=0, le=LARGEST_WEIGHT, description="Of the penalty in the loss")
    every: int = Field(
        1, ge=1, le=MOST_STEPS, description="Steps from one to the next; the weight is that of a penalty each step"
    )


class GradientPenaltyConfig(GradientPenaltySection):
    """Gradient norms near 1 between reals and fakes (Gulrajani et al. 2017, eq. 3)."""

    name: Literal["gradient_penalty"] = "gradient_penalty"


class R1Config(GradientPenaltySection):
    """Half the squared gradient norm at reals (Mescheder et al. 2018, eq. 9)."""

    name: Literal["r1"] = "r1"


class R2Config(GradientPenaltySection):
    """Half the squared gradient norm at fakes (Mescheder et al. 2018, eq. 10)."""

    name: Literal["r2"] = "r2"


class R1R2Config(GradientPenaltySection):
    """Both (Huang et al. 2024, section 3)."""

    name: Literal["r1_r2"] = "r1_r2"


PenaltyConfig = Annotated[
    NoPenalty | WeightClippingConfig | GradientPenaltyConfig | R1Config | R2Config | R1R2Config,
    Field(discriminator="name"),
]


class NoAugmentation(Section):
    """None."""

    name: Literal["none"] = "none"


class DiffAugmentConfig(Section):
    """Differentiable augmentation of reals and fakes alike (Zhao et al. 2020)."""

    name: Literal["diffaugment"] = "diffaugment"
    policy: list[Literal["color", "translation", "cutout"]] = Field(
        ["color", "translation", "cutout"], min_length=1, max_length=3, description="Applied one after another"
    )


class ADAConfig(Section):
    """Augmentation whose probability follows the discriminator's overfitting (Karras et al. 2020)."""

    name: Literal["ada"] = "ada"
    target: float = Field(0.6, ge=-1, le=1, description="Mean sign of the scores of reals")
    speed_images: int = Field(
        500_000, ge=1, le=10**12, description="Images over which the probability can go from 0 to 1"
    )


GAN_OPTIMIZER = OptimizerConfig(learning_rate=2e-4, beta1=0.5)  # Radford et al. 2015, section 4


class GANConfig(MethodConfig):
    """Generative adversarial network (Goodfellow et al. 2014)."""

    is_adversarial: ClassVar[bool] = True

    name: Literal["gan"] = "gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Of the generator")
    discriminator_network: Chosen[Network] | None = Field(None, description="null: as the generator's")
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field("none", description="How the generator takes labels")
    discriminator_conditioning: Literal["concat", "projection"] = Field(
        "concat", description="How the discriminator takes them"
    )
    loss: AdversarialLossName = Field("non_saturating", description="Of discriminator and generator")
    penalty: PenaltyConfig = Field(NoPenalty(), description="Of the discriminator's slope")
    spectral_norm: bool = Field(False, description="In the discriminator (Miyato et al. 2018)")
    augmentation: Annotated[NoAugmentation | DiffAugmentConfig | ADAConfig, Field(discriminator="name")] = Field(
        NoAugmentation(), description="Of what the discriminator sees"
    )
    pack: int = Field(1, ge=1, le=1024, description="Images that are judged together (Lin et al. 2018)")
    reconstruction_weight: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Of the mean absolute difference to the image that a condition was taken of",
    )
    discriminator_steps: int = Field(
        1, ge=1, le=1000, description="Updates of the discriminator for one of the generator: Algorithm 1's k"
    )
    generator_optimizer: OptimizerConfig = Field(GAN_OPTIMIZER, description="Of the generator's weights")
    discriminator_optimizer: OptimizerConfig = Field(GAN_OPTIMIZER, description="Of the discriminator's weights")

    @property
    def judging_network(self) -> Network:
        return self.discriminator_network or self.network
