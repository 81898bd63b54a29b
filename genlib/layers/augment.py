"""Modules that augment what a discriminator sees."""

from __future__ import annotations

from torch import Tensor, nn


class Augment(nn.Module):
    """Images (B, C, H, W) in [-1, 1] => the same shape; without a forward of its own it leaves all as it is."""

    def forward(self, images: Tensor) -> Tensor:
        return images

    def statistics(self, real_scores: Tensor) -> dict[str, Tensor]:
        """Statistics of a micro-batch, (n, ...) each, that `follow` takes, and values to log, () each."""
        return {}

    def follow(self, statistics: dict[str, Tensor], pack: int) -> None:
        """Follow the statistics of all micro-batches, joined along the first dimension; a score is of `pack` images."""
