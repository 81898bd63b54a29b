"""Images encoded and decoded again, and how alike they are to the originals."""

from __future__ import annotations

import torch
from torch import Tensor

from genlib.evaluation.estimates import Findings, over_images
from genlib.evaluation.features import Chunk
from genlib.evaluation.scoring.held_out import HeldOut, parts_of
from genlib.evaluation.scoring.processes import Processes, exact_device
from genlib.models.base import Batch, EncoderModel
from genlib.pixels.scale import to_uint8

PEAK = 255.0  # grey levels
LEAST_ERROR = 1 / 12  # squared grey levels, the mean squared error of rounding to whole levels
WINDOW, SIGMA = 11, 1.5  # pixels of the structural similarity's Gaussian window (Wang et al. 2004, section 3.3)
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2  # its constants (same section)


@torch.no_grad()
def reconstructed(model: EncoderModel, batch: Batch, batch_size: int) -> Tensor:
    """Images in [-1, 1] by way of their likeliest latents, uint8 (B, C, H, W)."""
    return torch.cat([to_uint8(model.reconstruct(part)) for part in parts_of(batch, batch_size)])


def reconstructions_of(model: EncoderModel, images: HeldOut, batch_size: int) -> Chunk:
    """The reconstruction of every image."""
    device = next(model.parameters()).device
    return lambda index: reconstructed(model, images.batch(index, device), batch_size).cpu()


def reconstruction_metrics(
    model: EncoderModel, images: HeldOut, processes: Processes, batch_size: int = 256
) -> Findings:
    """`psnr` and `ssim` of each image and its reconstruction, on average over the images."""
    device = next(model.parameters()).device
    mine: dict[int, Tensor] = {}

    def look(index: int) -> None:
        batch = images.batch(index, device)
        pairs = similarity(to_uint8(batch.images), reconstructed(model, batch, batch_size))
        mine[index] = torch.stack(pairs, dim=1)

    processes.share(images.count, look)
    psnr, ssim = processes.gather(mine, images.count, 2, torch.float64).T
    return Findings({"psnr": over_images(psnr), "ssim": over_images(ssim)})


def similarity(originals: Tensor, reconstructions: Tensor) -> tuple[Tensor, Tensor]:
    """Peak signal-to-noise ratio in dB and structural similarity of each pair, uint8 (B, C, H, W) => two of (B,),
    float64.
    """
    device = exact_device(originals.device)
    first, second = originals.to(device).double(), reconstructions.to(device).double()
    return peak_signal_to_noise(first, second), structural_similarity(first, second)


def peak_signal_to_noise(first: Tensor, second: Tensor) -> Tensor:
    """10 log10(255^2 / mean squared error) of each pair, (B, C, H, W) => (B,), over all pixels and channels.

    The error counts as 1/12 at least, so that an equal pair has 58.9 dB and not infinitely many: images are rounded to
    whole grey levels, whose mean squared error this is, and a smaller one says nothing of the model.
    """
    errors = (first - second).square().flatten(1).mean(1).clamp(min=LEAST_ERROR)
    return 10 * torch.log10(PEAK**2 / errors)


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of each pair of images with values from 0 to 255, float64 (B, C, H, W) => (B,) (Wang et al. 2004, eq. 13 and
    section 3.3).

    Statistics are Gaussian-weighted over each place of the window that lies inside the image; the mean is over all
    places and channels. It is scikit-image's structural_similarity with gaussian_weights=True, sigma=1.5 and
    use_sample_covariance=False.
    """
    window = window_for(min(first.shape[2:]))
    rows, columns = (gaussian_windows(size, window, first) for size in first.shape[2:])

    def local_mean(values: Tensor) -> Tensor:
        return rows @ values @ columns.T

    mean_1, mean_2 = local_mean(first), local_mean(second)
    variance_1 = local_mean(first.square()) - mean_1.square()
    variance_2 = local_mean(second.square()) - mean_2.square()
    covariance = local_mean(first * second) - mean_1 * mean_2
    luminance = (2 * mean_1 * mean_2 + C1) / (mean_1.square() + mean_2.square() + C1)
    return (luminance * (2 * covariance + C2) / (variance_1 + variance_2 + C2)).flatten(1).mean(1)


def window_for(image_size: int) -> int:
    """Pixels of the window's side: 11, or for smaller images the largest odd number that fits."""
    return min(WINDOW, image_size - (image_size + 1) % 2)


def gaussian_windows(size: int, window: int, like: Tensor) -> Tensor:
    """The weights of each place of a window along a side of `size` pixels, (size - window + 1, size)."""
    offsets = torch.arange(window, dtype=like.dtype, device=like.device) - window // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    places = like.new_zeros(size - window + 1, size)
    for place in range(len(places)):
        places[place, place : place + window] = weights / weights.sum()
    return places


def similarity_provenance(image_size: int) -> str:
    """The window that the structural similarity looks through, in words."""
    return f"Gaussian, {window_for(image_size)} pixels, sigma {SIGMA}, inside the image"
