"""Images encoded and decoded again, and how alike they are to the originals."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genlib.evaluation.features import Chunk
from genlib.evaluation.held_out import HeldOut, parts_of
from genlib.evaluation.measures import Findings, over_images
from genlib.evaluation.processes import Processes
from genlib.methods import Batch, EncoderModel
from genlib.pixels import to_uint8

WINDOW = 11  # pixels of the structural similarity's Gaussian window (Wang et al. 2004, section 3.3)
SMALL_WINDOW = 7  # of a uniform one, for images that the first does not fit into


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
    """`psnr` and `ssim` of each image and its reconstruction, on average."""
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
    """Peak signal-to-noise ratio in dB and structural similarity of each pair, uint8 (B, C, H, W) => two of (B,)."""
    ours, theirs = reconstructions.float(), originals.float()
    psnr = peak_signal_noise_ratio(ours, theirs, data_range=255.0, reduction="none", dim=(1, 2, 3))
    fits = min(originals.shape[2:]) >= WINDOW
    ssim = structural_similarity_index_measure(
        ours, theirs, gaussian_kernel=fits, kernel_size=SMALL_WINDOW, data_range=255.0, reduction="none"
    )
    assert isinstance(psnr, Tensor) and isinstance(ssim, Tensor)
    return psnr, ssim.reshape(-1)


def similarity_provenance(image_size: int) -> str:
    """Which window the structural similarity looked through."""
    return f"Gaussian, {WINDOW} pixels" if image_size >= WINDOW else f"uniform, {SMALL_WINDOW} pixels"
