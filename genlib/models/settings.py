"""Settings that several families share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    MOST_UNITS,
    Section,
)
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.mlp.config import MLPConfig


class LatentsSection(Section):
    """What the latents of a sample are drawn from."""

    has_encoder: ClassVar[bool] = True

    latents: Literal["normal", "gaussian", "mixture"] = Field(
        "normal",
        description="Samples come from N(0, I), or from a Gaussian or a mixture fitted to the train images' latents",
    )
    mixture_components: int = Field(10, ge=1, le=1000, description="Gaussians of latents: mixture")


class AutoencoderSection(LatentsSection):
    """An encoder and a decoder, trained by one optimizer."""

    network: Chosen[Network] = Field(MLPConfig(), description="Of encoder and decoder")
    latent_size: int = Field(16, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field(
        "none", description="How the decoder takes labels; the encoder takes them with its input"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of all weights")


LikelihoodName = Literal[
    "gaussian", "gaussian_learned", "gaussian_optimal", "bernoulli", "continuous_bernoulli", "discretized_logistic"
]


class LikelihoodSection(AutoencoderSection):
    has_likelihood: ClassVar[bool] = True

    likelihood: LikelihoodName = Field("gaussian", description="p(image | latents)")
    sigma: float = Field(0.2, ge=1e-6, le=1000, description="Of likelihood: gaussian, on the scale of [-1, 1]")
