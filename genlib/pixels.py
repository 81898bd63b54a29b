"""The one place where pixels change their scale: uint8 on disk and in metrics, [-1, 1] in networks; and grids."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genlib.files import write_bytes


def to_unit(images: Tensor) -> Tensor:
    """uint8 0 to 255 => float32 -1 to 1, any shape."""
    return images.float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Tensor:
    """float -1 to 1 => uint8 0 to 255, any shape; rounds, and clamps what lies outside."""
    return images.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def grid(images: Tensor, columns: int | None = None, tile: int = 32, gap: int = 2) -> Tensor:
    """uint8 (N, C, H, W) => one uint8 (3, height, width) picture, row by row.

    Small images are enlarged by whole factors, to at least `tile` pixels; `columns` defaults to a square grid.
    """
    count, _, height, width = images.shape
    columns = columns or max(1, round(count**0.5))
    rows = -(-count // columns)
    scale = max(1, -(-tile // max(height, width)))
    images = images.expand(-1, 3, -1, -1).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    cell_height, cell_width = height * scale + gap, width * scale + gap
    picture = torch.full((3, rows * cell_height + gap, columns * cell_width + gap), 255, dtype=torch.uint8)
    for position, image in enumerate(images.cpu()):
        top, left = position // columns * cell_height + gap, position % columns * cell_width + gap
        picture[:, top : top + height * scale, left : left + width * scale] = image
    return picture


def write_png(path: Path, picture: Tensor) -> None:
    """Write a uint8 (3, H, W) picture as PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def write_npz(path: Path, images: Tensor) -> None:
    """Write uint8 (N, C, H, W) as the array `images` of a NumPy archive, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images.numpy())
    write_bytes(path, buffer.getvalue())
