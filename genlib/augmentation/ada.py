"""Adaptive discriminator augmentation (Karras et al. 2020, "Training generative adversarial networks with limited
data", section 3 and appendix B): pixel blitting, geometry and colour, at a probability that follows overfitting.

An image's transformations are composed into one affine map and one map of colours. The map is applied by bilinear
sampling with reflection, where the original oversamples with a wavelet filter.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHIFT, SCALE, FRACTION = 0.125, 0.2, 0.125  # integer shift, standard deviations of log2 scale and of the fine shift
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # standard deviations; of the last two in log2


class AdaptiveAugment(nn.Module):
    """Images (B, C, H, W) in [-1, 1] => the same shape; each transformation of each image with `probability`.

    The probability is a buffer, so that checkpoints have it. `target` is the mean sign of the scores of reals that it
    aims at; it takes `speed_images` images to go from 0 to 1.
    """

    def __init__(self, target: float = 0.6, speed_images: int = 500_000, probability: float = 0.0) -> None:
        super().__init__()
        self.target, self.speed_images = target, speed_images
        self.register_buffer("probability", torch.tensor(probability))
        self.probability: Tensor

    def forward(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise ValueError(f"augmentation alters images (B, C, H, W), not {tuple(images.shape)}; leave it out.")
        return self.recoloured(self.moved(images))

    @torch.no_grad()
    def update(self, signs: Tensor, images: int) -> None:
        """Up while the discriminator is surer of reals than the target, else down (section 3.1); `signs` are those of
        the scores of the last `images` reals.
        """
        step = torch.sign(signs.float().mean() - self.target) * (images / self.speed_images)
        self.probability.add_(step).clamp_(0, 1)

    def chosen(self, images: Tensor, values: Tensor, neutral: float = 0.0) -> Tensor:
        """For each image its value with the probability, else what changes nothing; (B,)."""
        applies = torch.rand(len(images), device=images.device) < self.probability
        return torch.where(applies, values, torch.full_like(values, neutral))

    def moved(self, images: Tensor) -> Tensor:
        """Flips, quarter turns, shifts, scales and rotations (appendix B, figure 18), in float32."""
        count, _, height, width = images.shape
        device = images.device

        def rand() -> Tensor:
            return torch.rand(count, device=device)

        def normal() -> Tensor:
            return torch.randn(count, device=device)

        flip = 1 - 2 * self.chosen(images, (rand() < 0.5).float())
        matrix = scaling(flip, torch.ones_like(flip))
        matrix = rotation(self.chosen(images, torch.floor(rand() * 4) * (math.pi / 2))) @ matrix
        shift = [torch.round(self.chosen(images, (2 * rand() - 1) * SHIFT) * size) / size for size in (width, height)]
        matrix = translation(*(2 * part for part in shift)) @ matrix
        scale = torch.exp2(self.chosen(images, SCALE * normal()))
        matrix = scaling(scale, scale) @ matrix
        # Two rotations, before and after the uneven scaling, which together happen with the probability.
        either = 1 - torch.sqrt(1 - self.probability)
        matrix = rotation(self._angle(rand(), either)) @ matrix
        uneven = torch.exp2(self.chosen(images, SCALE * normal()))
        matrix = scaling(uneven, 1 / uneven) @ matrix
        matrix = rotation(self._angle(rand(), either)) @ matrix
        matrix = translation(*(2 * self.chosen(images, FRACTION * normal()) for _ in range(2))) @ matrix
        with torch.autocast(device.type, enabled=False):
            # grid_sample wants the map from the result back to the image.
            back = torch.linalg.inv(matrix)[:, :2]
            where = F.affine_grid(back, [count, 1, height, width], align_corners=False)
            moved = F.grid_sample(images.float(), where, "bilinear", "reflection", align_corners=False)
        return moved.to(images.dtype)

    def _angle(self, uniform: Tensor, probability: Tensor) -> Tensor:
        applies = torch.rand_like(uniform) < probability
        return torch.where(applies, (2 * uniform - 1) * math.pi, torch.zeros_like(uniform))

    def recoloured(self, images: Tensor) -> Tensor:
        """Brightness, contrast, luma flip, hue and saturation; of grey images the first three."""
        count, channels = images.shape[:2]
        device = images.device
        brightness = self.chosen(images, BRIGHTNESS * torch.randn(count, device=device))
        contrast = torch.exp2(self.chosen(images, CONTRAST * torch.randn(count, device=device)))
        flips = self.chosen(images, (torch.rand(count, device=device) < 0.5).float())
        if channels == 1:
            factor = contrast * (1 - 2 * flips)
            return images * factor.view(-1, 1, 1, 1) + (brightness * factor).view(-1, 1, 1, 1)
        turn = self.chosen(images, (2 * torch.rand(count, device=device) - 1) * math.pi)
        saturation = torch.exp2(self.chosen(images, SATURATION * torch.randn(count, device=device)))
        axis = torch.full((3,), 3**-0.5, device=device)  # of grey
        along = torch.outer(axis, axis)
        identity = torch.eye(3, device=device)
        matrix = contrast.view(-1, 1, 1) * identity
        matrix = (identity - 2 * along * flips.view(-1, 1, 1)) @ matrix
        matrix = about(axis, turn) @ matrix
        matrix = (along + (identity - along) * saturation.view(-1, 1, 1)) @ matrix
        offset = (matrix @ brightness.view(-1, 1, 1).expand(-1, 3, 1)).view(-1, 3, 1, 1)
        return torch.einsum("bij,bjhw->bihw", matrix.to(images.dtype), images) + offset.to(images.dtype)


def matrices(entries: list[list[Tensor]]) -> Tensor:
    """Rows of entries (B,) => (B, 3, 3)."""
    return torch.stack([torch.stack(row, dim=-1) for row in entries], dim=-2)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """In units of half the image; (B, 3, 3)."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return matrices([[one, zero, x], [zero, one, y], [zero, zero, one]])


def scaling(x: Tensor, y: Tensor) -> Tensor:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return matrices([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation(angle: Tensor) -> Tensor:
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return matrices([[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero], [zero, zero, one]])


def about(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations of colours about an axis of length 1 (Rodrigues' formula), (B, 3, 3)."""
    x, y, z = axis.unbind()
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).view(3, 3)
    sin, cos = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    return cos * torch.eye(3, device=axis.device) + sin * cross + (1 - cos) * torch.outer(axis, axis)
