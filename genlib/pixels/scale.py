"""Pixels: uint8 on disk and in metrics, [-1, 1] in networks; binarized, mirrored, enlarged. Points are float32 (N, 2)
everywhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 to 255 => float32 -1 to 1, any shape; float32 points as they are."""
    return images if images.is_floating_point() else (images / 127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """float -1 to 1 => uint8 0 to 255, any shape; rounds, and clamps what lies outside."""
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_stored(outputs: Tensor) -> Tensor:
    """A generator's outputs as datasets hold them: float -1 to 1 (B, C, H, W) => uint8; (B, 2) => float32."""
    return to_uint8(outputs) if outputs.ndim == 4 else outputs.float()


def binarized(images: Tensor, generator: torch.Generator) -> Tensor:
    """Binarization with the grey value as the probability of 1: -1 to 1 => -1 or 1, any shape (Salakhutdinov & Murray
    2008; Burda et al. 2015, section 5: drawn afresh for each batch).

    The draws are the generator's, on whatever device the images are.
    """
    uniform = torch.rand(images.shape, generator=generator, device=generator.device).to(images.device)
    return (2 * uniform < images + 1).to(images.dtype).mul_(2).sub_(1)


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W), each with left and right exchanged with a probability of 1/2; any dtype.

    The draws are the generator's, on whatever device the images are.
    """
    draws = torch.rand(len(images), generator=generator, device=generator.device).to(images.device)
    return torch.where((draws < 0.5).view(-1, 1, 1, 1), images.flip(3), images)


def enlarged(context: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """Every value as a square of pixels, (B, K, h, w) => (B, K, H, W)."""
    if context.shape[2:] == image_shape[1:]:
        return context
    return F.interpolate(context, size=image_shape[1:], mode="nearest")
