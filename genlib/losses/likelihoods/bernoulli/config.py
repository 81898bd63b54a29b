"""Settings of the likelihood bernoulli; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class BernoulliConfig(LikelihoodConfig):
    """Pixels are 0 or 1; of grey ones it is a cross-entropy."""

    has_pixel_density: ClassVar[bool] = False
    takes_binary_pixels: ClassVar[bool] = True

    name: Literal["bernoulli"] = "bernoulli"

    def output(self, default: Output) -> Output:
        return "sigmoid"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.bernoulli.module import Bernoulli

        return Bernoulli()
