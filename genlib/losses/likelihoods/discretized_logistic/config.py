"""Settings of the likelihood discretized_logistic; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from genlib.losses.likelihoods import LikelihoodConfig

if TYPE_CHECKING:
    from genlib.layers.likelihood import Likelihood
    from genlib.layers.outputs import Output


class DiscretizedLogisticConfig(LikelihoodConfig):
    """A probability of each of the 256 values, of one learned scale (Kingma et al. 2016, appendix)."""

    name: Literal["discretized_logistic"] = "discretized_logistic"

    def output(self, default: Output) -> Output:
        return "tanh"

    def build(self, sigma: float, output: Output) -> Likelihood:
        from genlib.losses.likelihoods.discretized_logistic.module import DiscretizedLogistic

        return DiscretizedLogistic()
