"""Spectral normalization (Miyato et al. 2018, section 2.1): every weight over its largest singular value.

Not torch's own, which moves its singular vectors in every forward pass: here they move once an update, so that
gradients of gradients, micro-batches and processes all see the same function.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

FIRST_ITERATIONS = 15


class SpectralNorm(nn.Module):
    """weight => weight / (u' W v), W being the weight as a matrix of its outputs, u and v its leading singular vectors
    as far as they are known. ValueError for a weight of zeros, which has none.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        if not matrix.any():
            raise ValueError(
                f"a weight of zeros {tuple(weight.shape)} cannot be divided by its largest singular value, 0; use no "
                f"spectral norm, or a network whose weights do not begin at 0."
            )
        self.register_buffer("u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn_like(matrix[0]), dim=0))
        self.u: Tensor
        self.v: Tensor
        for _ in range(FIRST_ITERATIONS):
            self.update(weight)

    def forward(self, weight: Tensor) -> Tensor:
        # The vectors are written in place by `update`, which a backward pass must not notice.
        u, v = self.u.clone(), self.v.clone()
        with torch.autocast(weight.device.type, enabled=False):
            sigma = torch.dot(u, weight.flatten(1) @ v)
        return weight / sigma

    @torch.no_grad()
    def update(self, weight: Tensor) -> None:
        """One power iteration (Miyato et al. 2018, algorithm 1)."""
        matrix = weight.flatten(1)
        self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))


def apply_spectral_norm(module: nn.Module) -> None:
    """Normalize the weight of every convolution, linear layer and embedding below `module`, in place."""
    for layer in list(module.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))


def update_spectral_norms(module: nn.Module) -> None:
    """Follow the weights by one power iteration each, after they have moved."""
    for layer in module.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], SpectralNorm):
            layer[0].update(layer.original)
