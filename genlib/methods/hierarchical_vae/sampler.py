"""Noise of both layers to raw pixels: all that the exported sampler needs."""

from __future__ import annotations

from torch import Tensor, nn

from genlib.models.posterior import Posterior


class TopDown(nn.Module):
    """Noise for both layers, upper first => upper latents, lower latents, raw pixels."""

    def __init__(self, upper_decoder: nn.Module, decoder: nn.Module, upper_size: int) -> None:
        super().__init__()
        self.upper_decoder, self.decoder, self.upper_size = upper_decoder, decoder, upper_size

    def lower_prior(self, upper: Tensor) -> Posterior:
        """p(lower | upper)."""
        return Posterior(*self.upper_decoder(upper).float().chunk(2, dim=1))

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        upper, lower_noise = noise[:, : self.upper_size], noise[:, self.upper_size :]
        return self.decoder(self.lower_prior(upper).at(lower_noise), labels)
