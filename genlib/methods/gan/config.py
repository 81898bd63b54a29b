"""Settings of the generative adversarial network, its penalties and its augmentations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from genlib.choices.choice import Chosen, rule
from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_STEPS,
    MOST_UNITS,
    Section,
)
from genlib.methods import ConditionalMethod
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler

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


class GANConfig(ConditionalMethod):
    """Generative adversarial network (Goodfellow et al. 2014)."""

    is_adversarial: ClassVar[bool] = True
    takes_condition_image: ClassVar[bool] = True

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

    def build(self, data: DataSpec) -> Method:
        from genlib.losses.adversarial import load_loss
        from genlib.methods.gan.method import GAN, build_augmentation, build_penalty

        sampler, given = self.build_sampler(data), self.given_of(data)
        return GAN(
            generator=sampler,
            discriminator=self.judging_network.discriminator(
                data.shape,
                given,
                self.discriminator_conditioning if given else "none",
                self.pack,
                self.spectral_norm,
            ),
            adversarial_loss=load_loss(self.loss),
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            discriminator_steps=self.discriminator_steps,
            penalty=build_penalty(self.penalty),
            clip=self.penalty.limit if isinstance(self.penalty, WeightClippingConfig) else None,
            augmentation=build_augmentation(self.augmentation),
            reconstruction_weight=self.reconstruction_weight,
        )

    def build_sampler(self, data: DataSpec) -> Sampler:
        from genlib.models.sampler import Sampler, default_output

        given = self.given_of(data)
        conditioning = "concat" if given.shape else self.conditioning
        generator = self.network.generator(self.latent_size, data.shape, given, conditioning)
        return Sampler(generator, self.latent_size, default_output(data.shape), given.classes, condition=data.condition)

    def without_power_iterations(self) -> Self:
        return self.model_copy(update={"spectral_norm": False})

    @rule
    def projection_needs_labels(self, run: RunConfig, key: str) -> str | None:
        """discriminator_conditioning: projection needs a conditional generator, and no packs of images."""
        if self.discriminator_conditioning != "projection":
            return None
        if not self.takes_labels:
            return (
                f"{key}.discriminator_conditioning is projection, but {key}.conditioning is none; use concat or "
                "batch_norm for the generator."
            )
        if self.pack == 1:
            return None
        return (
            f"{key}.pack ({self.pack}) judges images of several labels together, and a projection is onto one label; "
            f"use {key}.pack=1, or {key}.discriminator_conditioning=concat."
        )

    @rule
    def packs_fill_micro_batches(self, run: RunConfig, key: str) -> str | None:
        """Every micro-batch is a whole number of packs."""
        training, pack = run.training, self.pack
        part = training.batch_size // training.parts
        if part % pack == 0:
            return None
        return (
            f"{key}.pack ({pack}) must divide a micro-batch ({part} images); use a training.batch_size of "
            f"{training.batch_size // part * pack * max(1, part // pack)}."
        )

    @rule
    def spectral_norms_need_weights(self, run: RunConfig, key: str) -> str | None:
        """spectral_norm divides by a weight's largest singular value: not r3gan's, which begin at 0."""
        if not self.spectral_norm or self.judging_network.spectral_norm_works:
            return None
        return (
            f"{key}.spectral_norm divides weights by their largest singular value, and {self.judging_network.name}'s "
            f"residual branches begin at 0; use a penalty, such as {key}.penalty.name=r1_r2."
        )

    @rule
    def reconstructions_need_an_image(self, run: RunConfig, key: str) -> str | None:
        """reconstruction_weight needs a condition that is an image."""
        if run.condition.is_image or not self.reconstruction_weight:
            return None
        return (
            f"{key}.reconstruction_weight ({self.reconstruction_weight}) is of the difference to the image that a "
            "condition was taken of, and condition is no image; set it to 0."
        )

    @rule
    def packs_have_no_condition_image(self, run: RunConfig, key: str) -> str | None:
        """pack is for images without a condition that is an image."""
        if not run.condition.is_image or self.pack == 1:
            return None
        return (
            f"{key}.pack ({self.pack}) is for images without a condition, and condition is {run.condition.name}; use 1."
        )
