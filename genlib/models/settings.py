"""Settings that several families share, and what they build; free of torch when imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from genlib.choices.choice import Chosen, rule
from genlib.choices.section import MOST_UNITS, Section
from genlib.losses.likelihoods import LikelihoodConfig
from genlib.losses.likelihoods.gaussian.config import GaussianConfig
from genlib.models.optimizer import OptimizerConfig
from genlib.networks import Network
from genlib.networks.mlp.config import MLPConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.layers.base import DataSpec
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output
    from genlib.layers.shapes import ConditionSpec
    from genlib.models.sampler import Sampler
    from genlib.models.variational import VariationalModel


class LatentsSection(Section):
    """The distribution that a sample's latents are drawn from."""

    has_encoder: ClassVar[bool] = True

    latents: Literal["normal", "gaussian", "mixture"] = Field(
        "normal",
        description="Samples come from N(0, I), or from a Gaussian or a mixture fitted to the train images' latents",
    )
    mixture_components: int = Field(10, ge=1, le=1000, description="Number of Gaussians with latents: mixture")


class AutoencoderSection(LatentsSection):
    """An encoder and a decoder, trained by one optimizer."""

    network: Chosen[Network] = Field(MLPConfig(), description="Architecture of encoder and decoder")
    latent_size: int = Field(16, ge=1, le=MOST_UNITS, description="Dimensions of the latents")
    conditioning: Literal["none", "concat", "batch_norm"] = Field(
        "none", description="Way in which the decoder takes labels; the encoder takes them with its input"
    )
    optimizer: OptimizerConfig = Field(OptimizerConfig(), description="Optimizer of all weights")

    def decoding_sampler(self, data: DataSpec, given: ConditionSpec, output: Output) -> Sampler:
        """A decoder, with a learned prior p(z | c) where the condition c is an image."""
        from torch import nn

        from genlib.models.latents import fitted_latents
        from genlib.models.prior_decoder import PriorDecoder, prior_network
        from genlib.models.sampler import Sampler

        conditioning = "concat" if given.shape else self.conditioning
        network: nn.Module = self.network.generator(self.latent_size, data.shape, given, conditioning)
        if given.shape:
            network = PriorDecoder(prior_network(self.network, given.shape, data.shape, self.latent_size), network)
        latents = fitted_latents(self.latents, self.latent_size, self.mixture_components)
        return Sampler(network, self.latent_size, output, given.classes, latents, data.condition)


class LikelihoodSection(Section):
    """p(image | latents)."""

    has_likelihood: ClassVar[bool] = True

    likelihood: Chosen[LikelihoodConfig] = Field(GaussianConfig(), description="p(image | latents)")
    sigma: float = Field(
        0.2, ge=1e-6, le=1000, description="Standard deviation of likelihood: gaussian, for pixels in [-1, 1]"
    )

    @property
    def has_pixel_density(self) -> bool:
        return self.likelihood.has_pixel_density

    def likelihood_of(self, data: DataSpec) -> Likelihood:
        from genlib.layers.outputs import default_output

        return self.likelihood.build(self.sigma, default_output(data.shape))

    def output_of(self, data: DataSpec) -> Output:
        """The function from the decoder's raw values to images."""
        from genlib.layers.outputs import default_output

        return self.likelihood.output(default_output(data.shape))


class VariationalSection(LikelihoodSection, AutoencoderSection):
    """An encoder to a Gaussian posterior and a decoder to a likelihood."""

    def variational_model(self, data: DataSpec, given: ConditionSpec) -> VariationalModel:
        from genlib.models.variational import VariationalModel

        likelihood = self.likelihood_of(data)
        encoder = self.network.encoder(data.shape, 2 * self.latent_size, given)
        sampler = self.decoding_sampler(data, given, self.output_of(data))
        return VariationalModel(encoder, sampler, likelihood, self.latent_size)

    @rule
    def learned_priors_are_sampled_themselves(self, run: RunConfig, key: str) -> str | None:
        """With a condition that is an image, whose prior p(z | c) is learned, latents is normal."""
        if not run.condition.is_image or self.latents == "normal":
            return None
        return (
            f"{key}.latents ({self.latents}) is one density for all images, and condition is {run.condition.name}; "
            "use normal."
        )
