"""Settings of the variational autoencoder, and of its divergences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genlib.choices.section import (
    LARGEST_WEIGHT,
    MOST_STEPS,
    Section,
)
from genlib.methods import MethodConfig
from genlib.models.settings import LikelihoodSection


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


class VAEConfig(LikelihoodSection, MethodConfig):
    """Variational autoencoder (Kingma & Welling 2014)."""

    name: Literal["vae"] = "vae"
    divergence: Annotated[KLConfig | BetaTCConfig | MMDConfig, Field(discriminator="name")] = Field(
        KLConfig(), description="Between posterior and prior"
    )
    monte_carlo_samples: int = Field(1, ge=1, le=1000, description="Latents drawn for each image")
