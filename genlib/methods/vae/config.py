"""Settings of the variational autoencoder, and of its divergences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_STEPS,
    Section,
)
from genlib.methods import ConditionalMethod
from genlib.models.settings import VariationalSection

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class KLConfig(Section):
    """KL(q(z | x) || p(z)), weighted (Higgins et al. 2017), warmed up (Sonderby et al. 2016) or aimed at a capacity
    (Burgess et al. 2018)."""

    name: Literal["kl"] = "kl"
    beta: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the KL")
    warm_up_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Over which beta rises from 0")
    capacity: float | None = Field(None, ge=0, le=1e6, description="Nats that the KL is held to; null: none")
    capacity_steps: int = Field(0, ge=0, le=MOST_STEPS, description="Over which the capacity rises from 0")
    free_bits: float = Field(0.0, ge=0, le=1e6, description="Nats of each latent dimension that cost nothing")


class BetaTCConfig(Section):
    """The KL in three parts (Chen et al. 2018): mutual information, total correlation, dimension-wise KL."""

    name: Literal["beta_tc"] = "beta_tc"
    alpha: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the mutual information")
    beta: float = Field(6.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the total correlation")
    gamma: float = Field(1.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the dimension-wise KL")


class MMDConfig(Section):
    """Maximum mean discrepancy between the aggregate posterior and the prior: WAE-MMD (Tolstikhin et al. 2018), and
    with a weight for the KL InfoVAE (Zhao et al. 2019)."""

    name: Literal["mmd"] = "mmd"
    weight: float = Field(
        10.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Beside -log p(x | z). With likelihood: gaussian the paper's lambda, beside the squared error of "
        "pixels in [0, 1], is weight * sigma^2 / 2: the same for sigma 1.41421356. The authors' code takes 0.05 of the "
        "error, so that its lambda is 0.05 of this one",
    )
    kl_weight: float = Field(
        0.0, ge=0, le=LARGEST_WEIGHT, description="Of the KL, which InfoVAE has beside the discrepancy"
    )


class VAEConfig(VariationalSection, ConditionalMethod):
    """Variational autoencoder (Kingma & Welling 2014)."""

    takes_condition_image: ClassVar[bool] = True

    name: Literal["vae"] = "vae"
    divergence: Annotated[KLConfig | BetaTCConfig | MMDConfig, Field(discriminator="name")] = Field(
        KLConfig(), description="Between posterior and prior"
    )
    monte_carlo_samples: int = Field(1, ge=1, le=1000, description="Latents drawn for each image")

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.vae.method import VAE, build_divergence

        model = self.variational_model(data, self.given_of(data))
        divergence = build_divergence(self.divergence, data.rows)
        return VAE(model, divergence, self.optimizer, self.monte_carlo_samples)

    def build_sampler(self, data: DataSpec) -> Sampler:
        return self.decoding_sampler(data, self.given_of(data), self.likelihood_of(data).output)

    @rule
    def labels_need_a_kl(self, run: RunConfig, key: str) -> str | None:
        """divergence: mmd with labels needs a kl_weight, which keeps them out of an image's latents."""
        divergence = self.divergence
        if not self.takes_labels or not isinstance(divergence, MMDConfig) or divergence.kl_weight:
            return None
        return (
            f"{key}.conditioning is {self.conditioning}, but nothing keeps the label out of the latents of this "
            f"{self.name}, whose samples would not follow it; set {key}.divergence.kl_weight, or set "
            f"{key}.conditioning=none."
        )

    @rule
    def learned_priors_take_a_kl(self, run: RunConfig, key: str) -> str | None:
        """With a condition that is an image, whose prior p(z | c) is learned, a vae needs divergence: kl."""
        if not run.condition.is_image or self.divergence.name == "kl":
            return None
        return (
            f"{key}.divergence ({self.divergence.name}) compares with one prior of all images, and with condition "
            f"{run.condition.name} each has its own; use kl."
        )
