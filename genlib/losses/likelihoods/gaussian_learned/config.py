"""Settings of the likelihood gaussian_learned; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class LearnedGaussianConfig(LikelihoodConfig):
    """N(x; mean, sigma^2 I), sigma a parameter that is learned with the others (Rybkin et al. 2021, section 3)."""

    takes_points: ClassVar[bool] = True

    name: Literal["gaussian_learned"] = "gaussian_learned"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.gaussian_learned.module import LearnedGaussian

        return LearnedGaussian(output)
