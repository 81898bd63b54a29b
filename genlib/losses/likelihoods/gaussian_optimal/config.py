"""Settings of the likelihood gaussian_optimal; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class OptimalGaussianConfig(LikelihoodConfig):
    """N(x; mean, sigma^2 I), sigma the best one for each batch, in closed form (Rybkin et al. 2021, section 3.1)."""

    takes_points: ClassVar[bool] = True

    name: Literal["gaussian_optimal"] = "gaussian_optimal"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.gaussian_optimal.module import OptimalGaussian

        return OptimalGaussian(output)
