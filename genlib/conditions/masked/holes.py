"""Holes of random place and form: pure functions of the generator, (count, H, W), true where a pixel is hidden."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-6  # of a stroke's length, whose direction is not told


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """A box each, whose sides are a quarter to three quarters of the image's; bool (count, H, W)."""
    share = torch.rand(count, 2, 2, generator=generator)
    sides = torch.tensor([height, width])
    long = (sides * (0.25 + 0.5 * share[:, 0])).round().long().clamp_min(1)
    start = ((sides - long + 1) * share[:, 1]).long()
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    (top, left), (tall, broad) = start.T[..., None, None], long.T[..., None, None]
    return (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + broad)


def halves(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """The left, right, upper or lower half each; bool (count, H, W)."""
    rows, columns = torch.arange(height)[:, None].expand(height, width), torch.arange(width).expand(height, width)
    left, upper = columns < width // 2, rows < height // 2
    return torch.stack([left, ~left, upper, ~upper])[torch.randint(4, (count,), generator=generator)]


STROKES, BENDS = 2, 4  # of a brush, and the straight pieces of each


def strokes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Bent strokes of a brush each (after Yu et al. 2019, section 3.5); bool (count, H, W)."""
    size = min(height, width)
    start = torch.rand(count, STROKES, 1, 2, generator=generator) * (size - 1)
    angle = 2 * torch.pi * torch.rand(count, STROKES, BENDS, generator=generator)
    length = size * (0.1 + 0.3 * torch.rand(count, STROKES, BENDS, generator=generator))
    radius = size * (0.03 + 0.05 * torch.rand(count, STROKES, 1, generator=generator))
    steps = torch.stack([angle.cos(), angle.sin()], dim=-1) * length[..., None]
    corners = torch.cat([start, (start + steps.cumsum(2)).clamp(0, size - 1)], dim=2).round()
    ends, others = corners[:, :, :-1].flatten(1, 2)[:, :, None], corners[:, :, 1:].flatten(1, 2)[:, :, None]
    pixels = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float()
    along = others - ends
    share = ((pixels - ends) * along).sum(-1) / along.square().sum(-1).clamp_min(TINY)
    distance = (pixels - ends - share.clamp(0, 1)[..., None] * along).square().sum(-1).sqrt()  # (count, pieces, pixels)
    within = distance <= radius.expand(-1, -1, BENDS).flatten(1)[..., None]
    return within.any(1).reshape(count, height, width)


HOLES = {"box": boxes, "half": halves, "free_form": strokes}
