"""Settings of the autoencoder with two stochastic layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen
from genlib.choices.section import (
    MOST_DRAWS,
    MOST_LAYERS,
    MOST_UNITS,
)
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.models.settings import LikelihoodSection
from genlib.networks import Network
from genlib.networks.mlp.config import MLPConfig

if TYPE_CHECKING:
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class HierarchicalVAEConfig(LikelihoodSection, MethodConfig):
    """Two stochastic layers, trained on the importance-weighted bound (Burda et al. 2015, section 5)."""

    has_encoder: ClassVar[bool] = True

    name: Literal["hierarchical_vae"] = "hierarchical_vae"
    network: Chosen[Network] = Field(
        MLPConfig(hidden_sizes=[200, 200]), description="Architecture of encoder and decoder next to the image"
    )
    latent_size: int = Field(100, ge=1, le=MOST_UNITS, description="Dimensions of the layer next to the image")
    upper_latent_size: int = Field(50, ge=1, le=MOST_UNITS, description="Dimensions of the layer above")
    upper_hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [100, 100], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer between the two"
    )
    importance_samples: int = Field(1, ge=1, le=MOST_DRAWS, description="k of the bound")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimizer of all weights")

    def build(self, data: DataSpec) -> Method:
        from torch import nn

        from genlib.methods.hierarchical_vae.model import HierarchicalModel
        from genlib.models.importance_weighted import ImportanceWeighted
        from genlib.networks.mlp.modules import mlp

        lower, upper = self.latent_size, self.upper_latent_size
        encoder = self.network.encoder(data.shape, 2 * lower, self.given_of(data))
        upper_encoder = mlp([lower, *self.upper_hidden_sizes, 2 * upper], nn.Tanh)
        likelihood = self.likelihood_of(data)
        model = HierarchicalModel(encoder, upper_encoder, self.build_sampler(data), likelihood, lower)
        return ImportanceWeighted(model, self.importance_samples, self.optimizer, phase="iwae")

    def build_sampler(self, data: DataSpec) -> Sampler:
        from torch import nn

        from genlib.methods.hierarchical_vae.sampler import TopDown
        from genlib.models.sampler import Sampler
        from genlib.networks.mlp.modules import mlp

        lower, upper = self.latent_size, self.upper_latent_size
        upper_decoder = mlp([upper, *reversed(self.upper_hidden_sizes), 2 * lower], nn.Tanh)
        decoder = self.network.generator(lower, data.shape, self.given_of(data))
        network = TopDown(upper_decoder, decoder, upper)
        return Sampler(network, upper + lower, self.output_of(data))
