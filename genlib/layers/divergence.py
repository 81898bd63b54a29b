"""Divergences as modules, with the schedules of their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Divergence(nn.Module, ABC):
    """Distance of the posteriors N(mean, diag exp(log_variance)) from the prior N(0, I)."""

    @abstractmethod
    def forward(self, mean: Tensor, log_variance: Tensor, latents: Tensor) -> dict[str, Tensor]:
        """{"divergence": (), which is added to the reconstruction, and parts to log, () each, `largest_kl` among them}.

        All three are (B, d), and the latents are draws from the posteriors.
        """

    def begin_step(self, step: int) -> None:
        """Follow a schedule, before step `step` (from 0)."""
