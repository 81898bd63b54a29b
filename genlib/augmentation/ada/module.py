"""Adaptive discriminator augmentation (Karras et al. 2020, "Training generative adversarial networks with limited
data", section 3 and appendix B): pixel blitting, geometry and colour, at a probability that follows overfitting.

An image's transformations are composed into one affine map and one map of colours. The map is applied by bilinear
sampling with reflection, where the original oversamples with a wavelet filter.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.augment import Augment

SHIFT, SCALE, FRACTION = 0.125, 0.2, 0.125  # integer shift, standard deviations of log2 scale and of the fine shift
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0  # standard deviations; of the last two in log2


class AdaptiveAugment(Augment):
    """Images (B, C, H, W) in [-1, 1] => the same shape in float32; each transformation of each image with
    `probability`.

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
        # In one precision, lest rounding tell fakes of a generator under autocast from reals.
        with torch.autocast(images.device.type, enabled=False):
            return recoloured(moved(images.float(), self.probability), self.probability)

    def statistics(self, real_scores: Tensor) -> dict[str, Tensor]:
        return {"signs": real_scores.detach().sign(), "augmentation": self.probability.clone()}

    def follow(self, statistics: dict[str, Tensor], pack: int) -> None:
        signs = statistics["signs"]
        self.update(signs, len(signs) * pack)

    @torch.no_grad()
    def update(self, signs: Tensor, images: int) -> None:
        """Up while the discriminator is surer of reals than the target, else down (section 3.1); `signs` are those of
        the scores of the last `images` reals.
        """
        step = torch.sign(signs.float().mean() - self.target) * (images / self.speed_images)
        self.probability.add_(step).clamp_(0, 1)


def chosen(values: Tensor, probability: Tensor) -> Tensor:
    """Values (..., B), all of an image with the probability, else 0."""
    return values * (torch.rand(values.shape[-1], device=values.device) < probability)


def moved(images: Tensor, p: Tensor) -> Tensor:
    """Flips, quarter turns, shifts, scales and rotations of square images (appendix B)."""
    count, _, height, width = images.shape
    device = images.device

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, count, device=device) - 1

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, count, device=device)

    flip = 1 - 2 * chosen((uniform() < 0).float(), p)
    quarters = chosen(torch.randint(4, (count,), device=device), p)
    size = torch.tensor([[width], [height]], device=device)
    shift = torch.round(chosen(SHIFT * uniform(2), p) * size) / size
    scale = torch.exp2(chosen(SCALE * normal(), p))
    # Before and after the uneven scaling; the probability is that of at least one of the two.
    before, after = (chosen(math.pi * uniform(), 1 - (1 - p).sqrt()) for _ in range(2))
    uneven = torch.exp2(chosen(SCALE * normal(), p))
    fine_shift = chosen(FRACTION * normal(2), p)
    # Sampling wants the way back from the result to the image: the steps' inverses, drawn as the steps are.
    back = (
        scaling(flip, torch.ones_like(flip))
        @ rotation(quarters * (math.pi / 2))
        @ translation(*(2 * shift))
        @ scaling(scale, scale)
        @ rotation(before)
        @ scaling(uneven, 1 / uneven)
        @ rotation(after)
        @ translation(*(2 * fine_shift))
    )
    where = F.affine_grid(back[:, :2], [count, 1, height, width], align_corners=False)
    # A penalty on the slope at `images` needs its second derivative, which torch 2.13 has and 2.10 has not.
    return F.grid_sample(images, where, "bilinear", "reflection", align_corners=False)


def recoloured(images: Tensor, p: Tensor) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation; of grey images the first three (appendix B)."""
    count, channels = images.shape[:2]
    device = images.device
    brightness = chosen(BRIGHTNESS * torch.randn(count, device=device), p).view(-1, 1, 1, 1)
    contrast = torch.exp2(chosen(CONTRAST * torch.randn(count, device=device), p)).view(-1, 1, 1)
    flip = chosen((torch.rand(count, device=device) < 0.5).float(), p).view(-1, 1, 1)
    if channels == 1:
        return (contrast * (1 - 2 * flip))[..., None] * (images + brightness)
    turn = chosen(math.pi * (2 * torch.rand(count, device=device) - 1), p)
    saturation = torch.exp2(chosen(SATURATION * torch.randn(count, device=device), p)).view(-1, 1, 1)
    identity, grey = torch.eye(3, device=device), torch.full((3, 3), 1 / 3, device=device)  # grey: projects onto it
    colours = (grey + saturation * (identity - grey)) @ hue_rotation(turn) @ (identity - 2 * flip * grey) * contrast
    return (colours @ (images + brightness).flatten(2)).view_as(images)


def matrices(entries: list[list[Tensor]]) -> Tensor:
    """Rows of entries (B,) => (B, 3, 3)."""
    return torch.stack([torch.stack(row, dim=-1) for row in entries], dim=-2)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """A shift in units of half the image; (B, 3, 3)."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return matrices([[one, zero, x], [zero, one, y], [zero, zero, one]])


def scaling(x: Tensor, y: Tensor) -> Tensor:
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return matrices([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation(angle: Tensor) -> Tensor:
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    return matrices([[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero], [zero, zero, one]])


def hue_rotation(angle: Tensor) -> Tensor:
    """A rotation of colours about the axis of grey, (1, 1, 1) / sqrt 3, by Rodrigues' formula; (B, 3, 3)."""
    identity, grey = torch.eye(3, device=angle.device), torch.full((3, 3), 1 / 3, device=angle.device)
    cross = (identity.roll(1, 0) - identity.roll(1, 1)) / math.sqrt(3)
    sin, cos = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    return grey + cos * (identity - grey) + sin * cross
