"""Settings of the autoencoder with two stochastic layers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    MOST_DRAWS,
    MOST_LAYERS,
    MOST_UNITS,
)
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.models.settings import LikelihoodName
from genlib.networks import Network
from genlib.networks.mlp.config import MLPConfig


class HierarchicalVAEConfig(MethodConfig):
    """Two stochastic layers, trained on the importance-weighted bound (Burda et al. 2015, section 5)."""

    has_encoder: ClassVar[bool] = True
    has_likelihood: ClassVar[bool] = True

    name: Literal["hierarchical_vae"] = "hierarchical_vae"
    network: Chosen[Network] = Field(
        MLPConfig(hidden_sizes=[200, 200]), description="Of encoder and decoder next to the image"
    )
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the layer next to the image")
    upper_latent_size: int = Field(50, ge=1, le=MOST_UNITS, description="Dimensions of the layer above")
    upper_hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [100, 100], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer between the two"
    )
    importance_samples: int = Field(1, ge=1, le=MOST_DRAWS, description="k of the bound")
    likelihood: LikelihoodName = Field("gaussian", description="p(image | latents)")
    sigma: float = Field(0.2, ge=1e-6, le=1000, description="Of likelihood: gaussian, on the scale of [-1, 1]")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of all weights")
