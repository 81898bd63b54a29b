"""Settings of the network mlp; free of torch."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import MOST_LAYERS, MOST_UNITS
from genlib.networks import Network

if TYPE_CHECKING:
    from torch import nn

    from genlib.config.run import RunConfig
    from genlib.layers.base import Backbone
    from genlib.layers.shapes import ImageShape


class MLPConfig(Network):
    """Fully connected: for points, and for small images."""

    takes_points: ClassVar[bool] = True
    label_norm_key: ClassVar[str] = "norm=batch"

    name: Literal["mlp"] = "mlp"
    hidden_sizes: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [512], min_length=1, max_length=MOST_LAYERS, description="Units of each hidden layer, from image to latent"
    )
    activation: Literal["relu", "tanh"] = Field("relu", description="Activation in encoder, decoder and generator")
    norm: Literal["none", "batch"] = Field(
        "none", description="Normalization in the generator's or decoder's hidden layers"
    )

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

    @rule
    def batch_norms_have_company(self, run: RunConfig, key: str) -> str | None:
        """norm: batch normalizes over a micro-batch, which needs 2 images or more."""
        part = run.training.batch_size // run.training.parts
        if self.norm == "none" or part >= 2:
            return None
        return f"{key}.norm (batch) is over a micro-batch, which has {part}; use a larger training.batch_size."
