"""Settings of the network mlp; free of torch."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_LAYERS, MOST_UNITS
from genlib.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from genlib.layers.base import Backbone
    from genlib.layers.shapes import ImageShape


class MLPConfig(Network):
    """Fully connected: for points, and for small images."""

    takes_points: ClassVar[bool] = True

    name: Literal["mlp"] = "mlp"
    hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [512], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer, from image to latent"
    )
    activation: Literal["relu", "tanh"] = Field("relu", description="Of encoder, decoder and generator")
    norm: Literal["none", "batch"] = Field("none", description="In the generator's or decoder's hidden layers")

    @property
    def takes_condition_image(self) -> bool:
        return self.norm == "none"

    @property
    def has_label_norms(self) -> bool:
        return self.norm == "batch"

    def generator_layers(self, inputs: int, shape: ImageShape, classes: int = 0) -> nn.Module:
        from genlib.networks.mlp.modules import ACTIVATIONS, mlp_generator

        return mlp_generator(
            inputs, self.hidden_sizes, shape, ACTIVATIONS[self.activation], self.norm == "batch", classes
        )

    def backbone(self, shape: ImageShape, in_discriminator: bool = False) -> Backbone:
        from genlib.networks.mlp.modules import ACTIVATIONS, mlp_backbone

        activation = "leaky_relu" if in_discriminator else self.activation
        return mlp_backbone(prod(shape), self.hidden_sizes, ACTIVATIONS[activation])
