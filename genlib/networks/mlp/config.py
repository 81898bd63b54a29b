"""Settings of the network mlp; free of torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlib.choices.section import MOST_LAYERS, MOST_UNITS
from genlib.networks import Network


class MLPConfig(Network):
    """Fully connected: for points, and for small images."""

    takes_points: ClassVar[bool] = True
    label_norm_key: ClassVar[str] = "norm=batch"

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
