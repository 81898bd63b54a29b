"""Latents and labels of samples: functions of (seed, chunk) alone, so that image i of a seed is always the same."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.runtime.randomness import generator_for

CHUNK = 256  # images whose latents come from one generator


def draw_latents(latent_size: int, seed: int, chunk: int, truncation: float | None = None) -> Tensor:
    """N(0, I), float (256, latent_size), from (seed, chunk) alone; on the CPU, so that every device draws the same.

    With `truncation` t, 0.001 to 10, each value is from N(0, 1) restricted to [-t, t] (Brock et al. 2019, section
    3.1).
    """
    generator = generator_for("latents", seed, chunk)
    if not truncation:
        return torch.randn(CHUNK, latent_size, generator=generator)
    inside = torch.erf(torch.tensor(truncation / 2**0.5, dtype=torch.float64))  # the mass within [-t, t]
    uniform = 2 * torch.rand(CHUNK, latent_size, generator=generator, dtype=torch.float64) - 1
    return (2**0.5 * torch.erfinv(uniform * inside)).float().clamp_(-truncation, truncation)


def draw_labels(shares: list[float], seed: int, chunk: int) -> Tensor:
    """Labels as often as in the data, int64 (256,), from (seed, chunk) alone."""
    generator = generator_for("labels", seed, chunk)
    return torch.multinomial(torch.tensor(shares), CHUNK, replacement=True, generator=generator)
