"""Settings of the deterministic autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genlib.choices.choice import rule
from genlib.choices.section import LARGEST_WEIGHT
from genlib.methods import ConditionalMethod
from genlib.models.settings import AutoencoderSection

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class AutoencoderConfig(AutoencoderSection, ConditionalMethod):
    """Deterministic autoencoder of squared error; with penalties the RAE-L2 (Ghosh et al. 2020)."""

    name: Literal["autoencoder"] = "autoencoder"
    latent_penalty: float = Field(
        0.0,
        ge=0,
        le=LARGEST_WEIGHT,
        description="Weight of |z|^2 / 2 beside the squared error of an image in [-1, 1], 4 times that in [0, 1]",
    )
    decoder_penalty: float = Field(0.0, ge=0, le=LARGEST_WEIGHT, description="Weight of the decoder's squared weights")

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.autoencoder.method import Autoencoder, AutoencoderModel

        encoder = self.network.encoder(data.shape, self.latent_size, self.given_of(data))
        model = AutoencoderModel(encoder, self.build_sampler(data))
        return Autoencoder(model, self.optimizer, self.latent_penalty, self.decoder_penalty)

    def build_sampler(self, data: DataSpec) -> Sampler:
        from genlib.layers.outputs import default_output

        return self.decoding_sampler(data, self.given_of(data), default_output(data.shape))

    @property
    def caveat(self) -> str | None:
        if self.latents != "normal":
            return None
        return (
            "Nothing ties an autoencoder's latents to N(0, I), which these samples were drawn from: they show that it "
            "is no generative model; set method.latents=gaussian or mixture to make it one."
        )

    @rule
    def labels_stay_out_of_latents(self, run: RunConfig, key: str) -> str | None:
        """An autoencoder takes no labels: no KL keeps them out of its latents."""
        if not self.takes_labels:
            return None
        return (
            f"{key}.conditioning is {self.conditioning}, but nothing keeps the label out of the latents of this "
            f"{self.name}, whose samples would not follow it; use vae, or set {key}.conditioning=none."
        )
