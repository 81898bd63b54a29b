"""Settings of the likelihood gaussian; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class GaussianConfig(LikelihoodConfig):
    """N(x; mean, sigma^2 I), sigma a setting."""

    takes_points: ClassVar[bool] = True

    name: Literal["gaussian"] = "gaussian"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.gaussian.module import Gaussian

        return Gaussian(sigma, output)
