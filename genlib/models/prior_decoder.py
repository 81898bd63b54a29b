"""Decoders with a learned prior p(z | c)."""

from __future__ import annotations

from torch import Tensor, nn

from genlib.layers.base import Enlarged, required
from genlib.layers.shapes import UNCONDITIONAL, ImageShape
from genlib.models.posterior import Posterior
from genlib.networks import Network


class PriorDecoder(nn.Module):
    """p(z | c) and p(x | z, c) as one network from z's noise u ~ N(0, I): z = mean(c) + std(c) u (Sohn et al. 2015).

    So a sampler draws N(0, I) whatever the prior is.
    """

    def __init__(self, prior: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.prior, self.decoder = prior, decoder

    def forward(self, noise: Tensor, given: Tensor | None = None) -> Tensor:
        return self.decoder(self.of(required(given)).at(noise), given)

    def of(self, given: Tensor) -> Posterior:
        """p(z | c)."""
        return Posterior(*self.prior(given).float().chunk(2, dim=1))


def prior_network(network: Network, given: ImageShape, shape: ImageShape, latent_size: int) -> nn.Module:
    """A condition (B, K, h, w) of shape `given`, enlarged to images of `shape` => mean and log variance (B, 2 d)."""
    return nn.Sequential(Enlarged(shape), network.encoder((given[0], *shape[1:]), 2 * latent_size, UNCONDITIONAL))
