"""Images encoded and decoded again, and how alike they are to the originals."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from genlib.evaluation.features import Chunk
from genlib.methods.base import LatentVariableMethod
from genlib.pixels import to_uint8, to_unit

WINDOW = 11  # pixels of the structural similarity's Gaussian window (Wang et al. 2004, section 3.3)
SMALL_WINDOW = 7  # of a uniform one, for images that the first does not fit into


@torch.no_grad()
def reconstructed(method: LatentVariableMethod, model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Images in [-1, 1] by way of their posteriors' means, uint8 (B, C, H, W)."""
    decode = method.sampler_of(model)
    parts = [to_uint8(decode(method.posterior(model, part).mean)) for part in images.split(batch_size)]
    return torch.cat(parts)


def reconstructions_of(method: LatentVariableMethod, model: nn.Module, chunk: Chunk, batch_size: int) -> Chunk:
    """The reconstruction of every image of `chunk`."""
    device = next(model.parameters()).device
    return lambda index: reconstructed(method, model, to_unit(chunk(index).to(device)), batch_size).cpu()


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
