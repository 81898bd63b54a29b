"""Settings of the likelihood continuous_bernoulli; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class ContinuousBernoulliConfig(LikelihoodConfig):
    """A density on [0, 1] that keeps the cross-entropy's shape (Loaiza-Ganem & Cunningham 2019)."""

    name: Literal["continuous_bernoulli"] = "continuous_bernoulli"

    def output(self, default: Output) -> Output:
        return "continuous_bernoulli"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.continuous_bernoulli.module import ContinuousBernoulli

        return ContinuousBernoulli()
