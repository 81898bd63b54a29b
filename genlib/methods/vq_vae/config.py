"""Settings of the vector-quantized autoencoder and its prior."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import (
    LARGEST_WEIGHT,
    LEAST_TEMPERATURE,
    MOST_LAYERS,
    MOST_UNITS,
    Section,
)
from genlib.methods import ConditionalMethod
from genlib.models.optimizer import OptimizerConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler

MOST_CODES = 2**18


class CodePriorConfig(Section):
    """A causal transformer over the codes."""

    width: int = Field(128, ge=1, le=MOST_UNITS, description="Dimensions of a code's embedding")
    layers: int = Field(3, ge=1, le=MOST_LAYERS, description="Number of attention blocks")
    heads: int = Field(4, ge=1, le=MOST_UNITS, description="Attention heads of a block; they share the width evenly")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of activations left out in training")
    temperature: float = Field(
        1.0, ge=LEAST_TEMPERATURE, le=1000, description="Temperature of sampling: below 1 likelier codes"
    )
    top_k: int | None = Field(
        None, ge=1, le=MOST_CODES, description="Number of likeliest codes that sampling draws from; null: all"
    )
    guidance: float = Field(
        1.0, ge=0, le=1000, description="Guidance of sampling with a caption: above 1 codes that fit it better"
    )
    caption_weight: float = Field(
        0.125, ge=0, lt=1, description="Weight of the words in the loss; the rest is the codes'"
    )
    caption_dropout: float = Field(0.1, ge=0, lt=1, description="Share of captions left out in training, for guidance")
    start_share: float = Field(
        0.0, ge=0, lt=1, description="Share of the steps before the prior begins to learn: in them the codes are found"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimizer of the prior's weights")


class VQVAEConfig(ConditionalMethod):
    """Vector-quantized autoencoder (van den Oord et al. 2017), its codes drawn from an autoregressive prior."""

    has_encoder: ClassVar[bool] = True
    takes_points: ClassVar[bool] = False
    takes_captions: ClassVar[bool] = True

    name: Literal["vq_vae"] = "vq_vae"
    width: int = Field(64, ge=1, le=MOST_UNITS, description="Channels of the convolutions")
    residual_blocks: int = Field(
        2, ge=0, le=MOST_LAYERS, description="Residual blocks of the encoder, and of the decoder"
    )
    downsamplings: int = Field(2, ge=1, le=7, description="Halvings from the image to the map of codes")
    patches: bool = Field(
        False,
        description="Encode each square of pixels alone, without those around it: then all empty ones have one code",
    )
    codes: int = Field(128, ge=2, le=MOST_CODES, description="Size of the codebook")
    code_size: int = Field(32, ge=1, le=MOST_UNITS, description="Dimensions of a code")
    commitment: float = Field(
        0.25,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z - e|^2 beside the squared error of pixels in [-1, 1], both means over all numbers; "
        "the authors' code divides the error by the data's variance",
    )
    decay: float = Field(0.99, ge=0, lt=1, description="Decay of the codebook's moving averages")
    least_usage: float = Field(
        0.1, ge=0, le=100, description="Share of even use below which a code is dead and starts anew"
    )
    autoencoder_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the steps in which the autoencoder learns; in the rest the prior learns alone",
    )
    output: Literal["tanh", "identity"] = Field(
        "tanh", description="Bounds pixels; identity for images that are mostly black or white, which saturate tanh"
    )
    conditioning: Literal["none", "concat"] = Field("none", description="concat: the prior begins with the label")
    prior: CodePriorConfig = Field(CodePriorConfig(), description="The distribution that codes are drawn from")
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimizer of encoder and decoder")

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.vq_vae.method import VQVAE, VQModel
        from genlib.methods.vq_vae.modules import VQEncoder

        sampler = self.build_sampler(data)
        encoder = VQEncoder(
            data.shape, self.width, self.residual_blocks, self.downsamplings, self.code_size, self.patches
        )
        return VQVAE(
            VQModel(encoder, sampler),
            self.commitment,
            self.optimizer,
            self.prior.optimizer,
            self.autoencoder_share,
            self.prior.start_share,
            self.prior.caption_weight,
            self.prior.caption_dropout,
        )

    def build_sampler(self, data: DataSpec) -> Sampler:
        from genlib.methods.vq_vae.modules import VQDecoder
        from genlib.methods.vq_vae.quantizer import VectorQuantizer
        from genlib.methods.vq_vae.sampler import CodeDecoder
        from genlib.methods.vq_vae.transformer import CodeTransformer
        from genlib.models.codes import Drawing
        from genlib.models.sampler import Sampler

        prior, classes = self.prior, self.given_of(data).classes
        side = data.shape[1] // 2**self.downsamplings
        words, length = 0, 0
        if data.condition and data.condition.vocabulary:
            words, length = len(data.condition.vocabulary.words), data.condition.shape[0]
        network = CodeDecoder(
            CodeTransformer(
                self.codes, side**2, prior.width, prior.layers, prior.heads, classes, prior.dropout, words, length
            ),
            VectorQuantizer(self.codes, self.code_size, self.decay, self.least_usage),
            VQDecoder(data.shape, self.width, self.residual_blocks, self.downsamplings, self.code_size),
            side,
            Drawing(prior.temperature, prior.top_k, prior.guidance),
        )
        return Sampler(network, side**2, self.output, classes, condition=data.condition)

    @rule
    def codes_are_of_images(self, run: RunConfig, key: str) -> str | None:
        """vq_vae's convolutions need images, not points in the plane."""
        if not run.data.is_points:
            return None
        return f"data.source {run.data.source} is points in the plane, and {self.name}'s convolutions need images."

    @rule
    def halvings_divide_the_image_size(self, run: RunConfig, key: str) -> str | None:
        """vq_vae halves the image to its map of codes."""
        size, factor = run.data.image_size, 2**self.downsamplings
        if size % factor == 0:
            return None
        return (
            f"data.image_size ({size}) must be divisible by 2 to the power of {key}.downsamplings "
            f"({self.downsamplings}); use {size // factor * factor}, or halve less."
        )

    @rule
    def heads_share_the_width(self, run: RunConfig, key: str) -> str | None:
        """vq_vae's prior.heads divide prior.width."""
        width, heads = self.prior.width, self.prior.heads
        if width % heads == 0:
            return None
        return (
            f"{key}.prior.heads ({heads}) must divide {key}.prior.width ({width}); use {gcd(heads, width)}, or a "
            f"width of {-(-width // heads) * heads}."
        )

    @rule
    def one_of_both_learns(self, run: RunConfig, key: str) -> str | None:
        """vq_vae's prior begins to learn before the autoencoder rests."""
        start, share = self.prior.start_share, self.autoencoder_share
        if start <= share:
            return None
        return (
            f"nothing learns between {key}.autoencoder_share ({share}), when the autoencoder rests, and "
            f"{key}.prior.start_share ({start}); use {share} for both."
        )

    @rule
    def guidance_is_towards_captions(self, run: RunConfig, key: str) -> str | None:
        """vq_vae's prior.guidance needs captions and prior.caption_dropout."""
        prior = self.prior
        if prior.guidance == 1:
            return None
        if not run.condition.is_text:
            return (
                f"{key}.prior.guidance ({prior.guidance}) is towards what a caption says, and condition is "
                f"{run.condition.name}; use 1."
            )
        if prior.caption_dropout:
            return None
        return (
            f"{key}.prior.guidance ({prior.guidance}) compares with codes of no caption, and with "
            f"{key}.prior.caption_dropout 0 none are learned; use 0.1, or guidance 1."
        )
