"""Settings of the variational autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen, rule
from genlib.losses.divergences import DivergenceConfig
from genlib.losses.divergences.kl.config import KLConfig
from genlib.methods import ConditionalMethod
from genlib.models.settings import VariationalSection

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.models.base import Method
    from genlib.models.sampler import Sampler


class VAEConfig(VariationalSection, ConditionalMethod):
    """Variational autoencoder (Kingma & Welling 2014)."""

    takes_condition_image: ClassVar[bool] = True

    name: Literal["vae"] = "vae"
    divergence: Chosen[DivergenceConfig] = Field(KLConfig(), description="Divergence between posterior and prior")
    monte_carlo_samples: int = Field(1, ge=1, le=1000, description="Latents drawn for each image")

    def build(self, data: DataSpec) -> Method:
        from genlib.methods.vae.method import VAE

        model = self.variational_model(data, self.given_of(data))
        return VAE(model, self.divergence.build(data.rows), self.optimizer, self.monte_carlo_samples)

    def build_sampler(self, data: DataSpec) -> Sampler:
        return self.decoding_sampler(data, self.given_of(data), self.output_of(data))

    @rule
    def labels_need_a_kl(self, run: RunConfig, key: str) -> str | None:
        """divergence: mmd with labels needs a kl_weight, which keeps them out of an image's latents."""
        if not self.takes_labels or self.divergence.bounds_each_posterior:
            return None
        return (
            f"{key}.conditioning is {self.conditioning}, but nothing keeps the label out of the latents of this "
            f"{self.name}, whose samples would not follow it; set {key}.divergence.kl_weight, or set "
            f"{key}.conditioning=none."
        )

    @rule
    def learned_priors_take_a_kl(self, run: RunConfig, key: str) -> str | None:
        """With a condition that is an image, whose prior p(z | c) is learned, a vae needs divergence: kl."""
        if not run.condition.is_image or self.divergence.is_per_image:
            return None
        return (
            f"{key}.divergence ({self.divergence.name}) compares with one prior of all images, and with condition "
            f"{run.condition.name} each has its own; use kl."
        )
