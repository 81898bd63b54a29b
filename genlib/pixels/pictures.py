"""Samples as pictures: grids of images, scatter plots of points, PNG and NumPy files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genlib.errors import UserError
from genlib.storage.files import write_bytes

PALE_GREY, DARK_BLUE = (200, 200, 200), (0, 0, 139)
SIDE = 512  # pixels of a picture of points
CENTRAL = 0.99  # share of the samples that a picture without real points frames
MARGIN = 1.1
TILE, GAP = 32, 2  # pixels of a grid: the least side of an image, and between images
MOST_PIXELS = 89_478_485  # in a grid; Pillow opens no more without a warning


def picture(samples: Tensor, real: Tensor | None = None, columns: int | None = None) -> Tensor:
    """uint8 (N, C, H, W) => their grid; float32 (N, 2) => a scatter plot, on real points if given; uint8 (3, H, W)."""
    return grid(samples, columns) if samples.ndim == 4 else scatter(samples, real)


def grid(images: Tensor, columns: int | None = None, tile: int = TILE, gap: int = GAP) -> Tensor:
    """A grid of images, row by row: uint8 (N, C, H, W) => uint8 (3, height, width).

    Small images are enlarged by whole factors, to at least `tile` pixels; `columns` defaults to a square grid.
    """
    count, _, height, width = images.shape
    columns = columns or max(1, round(count**0.5))
    rows = -(-count // columns)
    scale = enlargement(height, width, tile)
    images = images.expand(-1, 3, -1, -1).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    cell_height, cell_width = height * scale + gap, width * scale + gap
    picture = torch.full((3, rows * cell_height + gap, columns * cell_width + gap), 255, dtype=torch.uint8)
    for position, image in enumerate(images.cpu()):
        top, left = position // columns * cell_height + gap, position % columns * cell_width + gap
        picture[:, top : top + height * scale, left : left + width * scale] = image
    return picture


def enlargement(height: int, width: int, tile: int = TILE) -> int:
    return max(1, -(-tile // max(height, width)))


def check_grid(count: int, shape: tuple[int, ...]) -> None:
    """UserError where the grid of `count` images of this shape (C, H, W) would be too large for what opens pictures."""
    if len(shape) == 1:
        return
    height, width = shape[1:]
    scale = enlargement(height, width)
    most = MOST_PIXELS // ((height * scale + GAP) * (width * scale + GAP))
    if count > most:
        raise UserError(
            f"a grid of {count} images would have more than {MOST_PIXELS} pixels, which few programs open; ask for "
            f"{most} at most, or name a .npz file."
        )


def scatter(samples: Tensor, real: Tensor | None = None) -> Tensor:
    """Dark blue samples on pale grey real points, the second coordinate upwards: float32 (N, 2) => uint8 (3, 512, 512).

    The square frame holds the real points, else the central 99 % of the samples in each coordinate, and a tenth more;
    points outside it, or not finite, are left out.
    """
    samples = samples.cpu()
    layers = [(samples, DARK_BLUE)] if real is None else [(real.cpu(), PALE_GREY), (samples, DARK_BLUE)]
    centre, half = frame(layers[0][0], 1.0 if real is not None else CENTRAL)
    canvas = torch.full((3, SIDE + 2, SIDE + 2), 255, dtype=torch.uint8)  # room for the dots at the edges
    for points, colour in layers:
        places = (points - centre) / (2 * half) + 0.5  # 0 to 1 in the frame
        column, row = (places[((places >= 0) & (places < 1)).all(1)] * SIDE).long().unbind(1)
        for down in range(3):
            for right in range(3):
                canvas[:, SIDE - 1 - row + down, column + right] = torch.tensor(colour, dtype=torch.uint8)[:, None]
    return canvas[:, 1:-1, 1:-1]


def frame(points: Tensor, central: float) -> tuple[Tensor, Tensor]:
    """Centre (2,) and half the side of the square around the central share of the finite points, with its margin."""
    finite = points[points.isfinite().all(1)].double().numpy()
    if not len(finite):
        return torch.zeros(2), torch.ones(())
    low, high = np.quantile(finite, [(1 - central) / 2, (1 + central) / 2], axis=0)
    half = (high - low).max() / 2 * MARGIN or 1.0
    return torch.from_numpy((low + high) / 2), torch.tensor(half, dtype=torch.float64)


def write_png(path: Path, picture: Tensor) -> None:
    """Write a uint8 (3, H, W) picture as PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(buffer, format="PNG")
    write_bytes(path, buffer.getvalue())


def write_npz(path: Path, samples: Tensor) -> None:
    """Write a NumPy archive, whole or not at all: uint8 (N, C, H, W) as the array `images`, (N, 2) as `points`."""
    buffer = io.BytesIO()
    if samples.ndim == 4:
        np.savez_compressed(buffer, images=samples.numpy())
    else:
        np.savez_compressed(buffer, points=samples.numpy())
    write_bytes(path, buffer.getvalue())
