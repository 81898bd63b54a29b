"""Settings of the vector-quantized autoencoder and its prior."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genlib.choices.section import (
    LARGEST_WEIGHT,
    LEAST_TEMPERATURE,
    MOST_LAYERS,
    MOST_UNITS,
    Section,
)
from genlib.methods import MethodConfig
from genlib.models.optimizer import OptimizerConfig

MOST_CODES = 2**18


class CodePriorConfig(Section):
    """A causal transformer over the codes."""

    width: int = Field(128, ge=1, le=MOST_UNITS, description="Numbers that stand for a code")
    layers: int = Field(3, ge=1, le=MOST_LAYERS, description="Blocks of attention")
    heads: int = Field(4, ge=1, le=MOST_UNITS, description="Of each attention; they share the width evenly")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of numbers left out in training")
    temperature: float = Field(1.0, ge=LEAST_TEMPERATURE, le=1000, description="Of sampling: below 1 likelier codes")
    top_k: int | None = Field(
        None, ge=1, le=MOST_CODES, description="Of sampling: from the likeliest k codes only; null: from all"
    )
    guidance: float = Field(
        1.0, ge=0, le=1000, description="Of sampling with a caption: above 1 codes that fit it better"
    )
    caption_weight: float = Field(0.125, ge=0, lt=1, description="Of the words in the loss; the rest is the codes'")
    caption_dropout: float = Field(0.1, ge=0, lt=1, description="Share of captions left out in training, for guidance")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of the prior's weights")


class VQVAEConfig(MethodConfig):
    """Vector-quantized autoencoder (van den Oord et al. 2017), its codes drawn from an autoregressive prior."""

    has_encoder: ClassVar[bool] = True

    name: Literal["vq_vae"] = "vq_vae"
    width: int = Field(64, ge=1, le=MOST_UNITS, description="Channels of the convolutions")
    residual_blocks: int = Field(2, ge=0, le=MOST_LAYERS, description="Of encoder and decoder, each")
    downsamplings: int = Field(2, ge=1, le=7, description="Halvings from the image to the map of codes")
    codes: int = Field(128, ge=2, le=MOST_CODES, description="Size of the codebook")
    code_size: int = Field(32, ge=1, le=MOST_UNITS, description="Dimensions of a code")
    commitment: float = Field(
        0.25,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z - e|^2 beside the squared error of pixels in [-1, 1], both means over all numbers; "
        "the authors' code divides the error by the data's variance",
    )
    decay: float = Field(0.99, ge=0, lt=1, description="Of the codebook's moving averages")
    least_usage: float = Field(
        0.1, ge=0, le=100, description="Share of even use below which a code is dead and starts anew"
    )
    autoencoder_share: float = Field(
        1.0, gt=0, le=1, description="Of the training's steps; then the autoencoder rests, and the prior learns alone"
    )
    output: Literal["tanh", "identity"] = Field(
        "tanh", description="Bounds pixels; identity for images that are mostly black or white, which saturate tanh"
    )
    conditioning: Literal["none", "concat"] = Field("none", description="concat: the prior begins with the label")
    prior: CodePriorConfig = Field(CodePriorConfig(), description="What codes are drawn from")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Of encoder and decoder")
