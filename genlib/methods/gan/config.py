"""Settings of the generative adversarial network."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from genlib.augmentation import Augmentation
from genlib.augmentation.none import NoAugmentation
from genlib.choices.choice import Chosen, rule
from genlib.choices.section import LARGEST_WEIGHT, MOST_UNITS
from genlib.losses.adversarial import AdversarialLoss
from genlib.losses.adversarial.non_saturating import NonSaturating
from genlib.losses.penalties import Penalty
from genlib.losses.penalties.none import NoPenalty
from genlib.methods import ConditionalMethod
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.dcgan.config import DCGANConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler

GAN_OPTIMIZER = OptimizerConfig(learning_rate=2e-4, beta1=0.5)  # Radford et al. 2015, section 4


class GANConfig(ConditionalMethod):
    """Generative adversarial network (Goodfellow et al. 2014)."""

    is_adversarial: ClassVar[bool] = True
    takes_condition_image: ClassVar[bool] = True

    name: Literal["gan"] = "gan"
    network: Chosen[Network] = Field(DCGANConfig(), description="Architecture of the generator")
    discriminator_network: Chosen[Network] | None = Field(
        None, description="Architecture of the discriminator; null: the generator's"
    )
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field(
        "none", description="Way in which the generator takes labels"
    )
    discriminator_conditioning: Literal["concat", "projection"] = Field(
        "concat", description="Way in which the discriminator takes labels"
    )
    loss: Chosen[AdversarialLoss] = Field(NonSaturating(), description="Losses of discriminator and generator")
    penalty: Chosen[Penalty] = Field(NoPenalty(), description="Limit to the discriminator's slope")
    spectral_norm: bool = Field(False, description="Spectral norms in the discriminator (Miyato et al. 2018)")
    augmentation: Chosen[Augmentation] = Field(
        NoAugmentation(), description="Augmentation of the discriminator's inputs"
    )
    pack: int = Field(1, ge=1, le=1024, description="Images that get one score together (Lin et al. 2018)")
    reconstruction_weight: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of the mean absolute difference to the image that a condition was made from",
    )
    discriminator_steps: int = Field(
        1, ge=1, le=1000, description="Updates of the discriminator for one of the generator: Algorithm 1's k"
    )
    generator_optimizer: OptimizerConfig = Field(GAN_OPTIMIZER, description="Optimizer of the generator's weights")
    discriminator_optimizer: OptimizerConfig = Field(
        GAN_OPTIMIZER, description="Optimizer of the discriminator's weights"
    )

    @property
    def judging_network(self) -> Network:
        return self.discriminator_network or self.network

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.gan.method import GAN

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
            adversarial_loss=self.loss,
            generator_optimizer=self.generator_optimizer,
            discriminator_optimizer=self.discriminator_optimizer,
            discriminator_steps=self.discriminator_steps,
            penalty=self.penalty,
            augmentation=self.augmentation.build(),
            reconstruction_weight=self.reconstruction_weight,
            pack=self.pack,
        )

    def build_sampler(self, data: DataSpec) -> Sampler:
        from genlib.layers.outputs import default_output
        from genlib.models.sampler import Sampler

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

    @rule
    def slopes_are_limited(self, run: RunConfig, key: str) -> str | None:
        """loss: wasserstein needs a discriminator of limited slope: a penalty, or spectral norm without batch norm."""
        if not self.loss.needs_a_slope_limit or self.penalty.limits_slope:
            return None
        if not self.spectral_norm:
            return (
                f"{key}.loss is {self.loss.name}, whose discriminator grows without end unless its slope is limited; "
                f"set {key}.penalty.name=gradient_penalty, {key}.penalty.name=weight_clipping or "
                f"{key}.spectral_norm=true."
            )
        if not self.judging_network.mixes_images:
            return None
        return (
            f"{key}.loss is {self.loss.name}, whose discriminator must be of limited slope, and batch norm undoes what "
            f"{key}.spectral_norm limits; use discriminator_norm: none."
        )

    @rule
    def clipped_weights_are_not_rescaled(self, run: RunConfig, key: str) -> str | None:
        """penalty: weight_clipping limits nothing where spectral_norm rescales weights."""
        if not self.spectral_norm or not self.penalty.bounds_weights:
            return None
        return (
            f"{key}.spectral_norm rescales weights, so that {key}.penalty ({self.penalty.name}) limits nothing; use "
            "one of the two."
        )

    @rule
    def scores_have_the_signs_that_are_read(self, run: RunConfig, key: str) -> str | None:
        """augmentation: ada goes by the sign of the reals' scores, which relativistic and wasserstein leave open."""
        if not self.augmentation.reads_signs or self.loss.scores_have_a_sign:
            return None
        return (
            f"{key}.augmentation ({self.augmentation.name}) goes by the sign of the reals' scores, and {key}.loss "
            f"({self.loss.name}) sees only differences of scores; use {key}.augmentation={{name: diffaugment}}."
        )
