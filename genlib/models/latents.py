"""Densities of latents fitted to the train images' latents after training (Ghosh et al. 2020, section 4).

Each is a function of standard normal noise, so that a sample stays a function of its seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


class FittedLatents(nn.Module, ABC):
    """Noise ~ N(0, I), (B, noise_size) => latents, (B, d)."""

    noise_size: int

    @abstractmethod
    def fit(self, latents: Tensor) -> None:
        """Fit the density to latents (N, d)."""


class GaussianLatents(FittedLatents):
    """One Gaussian with full covariance."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.noise_size = size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("cholesky", torch.eye(size))
        self.mean: Tensor
        self.cholesky: Tensor

    def forward(self, noise: Tensor) -> Tensor:
        return self.mean + noise @ self.cholesky.T

    @torch.no_grad()
    def fit(self, latents: Tensor) -> None:
        mean, cholesky = gaussian_of(latents)
        self.mean.copy_(mean)
        self.cholesky.copy_(cholesky)


class MixtureLatents(FittedLatents):
    """A mixture of Gaussians with full covariances; the first dimension of the noise chooses the component."""

    def __init__(self, size: int, components: int) -> None:
        super().__init__()
        self.noise_size = size + 1
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, size))
        self.register_buffer("choleskys", torch.eye(size).expand(components, size, size).clone())
        self.weights: Tensor
        self.means: Tensor
        self.choleskys: Tensor

    def forward(self, noise: Tensor) -> Tensor:
        uniform = torch.special.ndtr(noise[:, 0].contiguous())
        last = len(self.weights) - 1
        component = torch.searchsorted(self.weights.cumsum(0), uniform).clamp_max(last)
        return self.means[component] + torch.einsum("bij,bj->bi", self.choleskys[component], noise[:, 1:])

    @torch.no_grad()
    def fit(self, latents: Tensor) -> None:
        from sklearn.mixture import GaussianMixture  # A sampler is loaded where it is not installed.

        components = min(len(self.weights), len(latents))
        points = latents.double().cpu().numpy()
        mixture = GaussianMixture(components, reg_covar=RIDGE * points.var(0).mean() + TINY, random_state=0)
        self.take(mixture.fit(points))

    @torch.no_grad()
    def take(self, mixture: GaussianMixture) -> None:
        """Take the density of a fitted mixture of at most as many components, with full covariances."""
        components = len(mixture.weights_)
        self.weights.zero_()[:components] = torch.from_numpy(mixture.weights_).to(self.weights)
        self.means[:components] = torch.from_numpy(mixture.means_).to(self.means)
        covariances = torch.from_numpy(mixture.covariances_).double()
        self.choleskys[:components] = torch.linalg.cholesky(covariances).to(self.choleskys)


RIDGE, TINY = 1e-6, 1e-12  # RIDGE is a share of the latents' variance; unused dimensions have none


def gaussian_of(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and the lower Cholesky factor (d, d) of the covariance of latents (N, d)."""
    points = latents.double().cpu()
    covariance = torch.cov(points.T).reshape(points.shape[1], points.shape[1])
    ridge = RIDGE * covariance.diagonal().mean() + TINY
    return points.mean(0), torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)))


def fitted_latents(kind: str, size: int, components: int) -> FittedLatents | None:
    """The density that `method.latents` names; None for N(0, I)."""
    match kind:
        case "gaussian":
            return GaussianLatents(size)
        case "mixture":
            return MixtureLatents(size, components)
    return None
