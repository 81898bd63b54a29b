"""Settings of the deterministic autoencoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genlib.choices.section import (
    LARGEST_WEIGHT,
)
from genlib.methods import MethodConfig
from genlib.models.settings import AutoencoderSection


class AutoencoderConfig(AutoencoderSection, MethodConfig):
    """Deterministic autoencoder of squared error; with penalties the RAE-L2 (Ghosh et al. 2020)."""

    name: Literal["autoencoder"] = "autoencoder"
    latent_penalty: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z|^2 / 2 beside the squared error of an image in [-1, 1], 4 times that in [0, 1]",
    )
    decoder_penalty: float = Field(0.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the decoder's squared weights")
