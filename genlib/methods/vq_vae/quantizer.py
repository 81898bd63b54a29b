"""A codebook that follows its encoder by moving averages (van den Oord et al. 2017, appendix A.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FAINT = 1e-30  # a count so small that its digits are being lost


class Quantized(NamedTuple):
    """Codes of encodings (B, D, h, w)."""

    quantized: Tensor  # (B, D, h, w), whose gradient goes straight through to the encodings
    codes: Tensor  # int64 (B, h, w)
    commitment: Tensor  # |z - sg[e]|^2, the mean over an image's map and channels, (B,)


class VectorQuantizer(nn.Module):
    """`codes` vectors of `code_size` numbers. Nothing of it is learned by gradients: all is in buffers.

    A code that is used less than `least_usage` times as often as under even use is dead, and starts anew at an
    encoding of the last batch; so does one that was never used, unless `least_usage` is 0. A code counts as used evenly
    where it begins or starts anew, so that none dies before its use is known.
    """

    def __init__(self, codes: int, code_size: int, decay: float = 0.99, least_usage: float = 0.1) -> None:
        super().__init__()
        self.codes, self.decay, self.least_usage = codes, decay, least_usage
        codebook = torch.randn(codes, code_size)
        self.register_buffer("codebook", codebook)
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, code_size))
        self.codebook: Tensor
        self.counts: Tensor
        self.sums: Tensor

    def forward(self, encodings: Tensor) -> Quantized:
        vectors = encodings.permute(0, 2, 3, 1)  # (B, h, w, D)
        codes = self.nearest(vectors.detach())
        chosen = self.embed(codes)
        commitment = (encodings - chosen).square().mean((1, 2, 3))
        return Quantized(encodings + (chosen - encodings).detach(), codes, commitment)

    def nearest(self, vectors: Tensor) -> Tensor:
        """The nearest code of each, (..., D) => int64 (...)."""
        centre = self.codebook.mean(0)  # Far from the origin the differences would drown in rounding.
        codebook = self.codebook - centre
        with torch.autocast(vectors.device.type, enabled=False):
            # |z - e|^2 but for |z|^2, which is the same for all codes.
            distances = codebook.square().sum(1) - 2 * (vectors.float() - centre) @ codebook.T
        return distances.argmin(-1)

    def embed(self, codes: Tensor) -> Tensor:
        """int64 (B, h, w) => (B, D, h, w)."""
        return F.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    @torch.no_grad()
    def statistics(self, encodings: Tensor, codes: Tensor) -> dict[str, Tensor]:
        """Statistics of a micro-batch for `update`: how often each code was used, (1, K), the sums of the encodings
        that use it, (1, K, D), and some encodings, (R, D), by a chance that grows with their squared distance from
        their codes (Arthur & Vassilvitskii 2007, section 2.2).
        """
        vectors = encodings.detach().permute(0, 2, 3, 1).flatten(0, 2).float()
        used = F.one_hot(codes.flatten(), self.codes).to(vectors)
        distances = (vectors - F.embedding(codes.flatten(), self.codebook)).square().sum(1).cumsum(0)
        draws = distances[-1] * torch.rand(self.codes, device=vectors.device)
        chosen = torch.searchsorted(distances, draws).clamp_max(len(vectors) - 1)
        with torch.autocast(vectors.device.type, enabled=False):  # A code is the mean of its encodings to all digits.
            sums = used.T @ vectors
        return {"counts": used.sum(0)[None], "sums": sums[None], "candidates": vectors[chosen]}

    @torch.no_grad()
    def update(self, counts: Tensor, sums: Tensor, candidates: Tensor) -> None:
        """Follow the statistics of all micro-batches, joined along their first dimension."""
        counts, sums = counts.sum(0), sums.sum(0)
        even = counts.sum() / self.codes
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        # Averages that begin at 0 are too small by a factor, 1 - decay^t after t updates (Kingma & Ba 2015, section 3).
        # It cancels in sums over counts; what all counts together lack is taken for even use.
        average = self.counts.mean()
        dead = self.counts + (even - average).clamp_min(0) < self.least_usage * even
        if self.least_usage:
            dead |= self.counts == 0
        fresh = candidates[:: len(candidates) // self.codes][: self.codes]  # of all micro-batches
        self.counts.copy_(torch.where(dead, average, self.counts))
        self.sums.copy_(torch.where(dead[:, None], average * fresh, self.sums))
        means = self.sums / self.counts[:, None]
        self.codebook.copy_(torch.where((self.counts > FAINT)[:, None], means, self.codebook))

    def perplexity(self, counts: Tensor) -> Tensor:
        """exp of the entropy of the codes' use, (M, K) => (): K where all are used alike."""
        shares = counts.sum(0) / counts.sum()
        return torch.exp(-torch.special.xlogy(shares, shares).sum())
