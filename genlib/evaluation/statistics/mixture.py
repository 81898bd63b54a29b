"""A Gaussian mixture of images or points, as a sampler: the trivial model that others are measured against."""

from __future__ import annotations

import time
import warnings
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from genlib.models.latents import RIDGE, TINY, FittedLatents, MixtureLatents
from genlib.models.sampler import Sampler

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

MOST_DIMENSIONS = 64  # principal components of images that the mixture is fitted to
SHARE = 0.85  # of the variance, for which fewer of them may be enough: more leave components too few images each
COMPONENTS = (10, 25, 50, 100)  # tried in turn, until held-out images become less likely
TURNS = {"images": 10, "points": 100}  # most turns of expectation maximization
PIXEL_VARIANCE = 10 / 127.5**2  # added to the variances of pixels in [-1, 1]: 10 squared grey levels
LEAST_OF_EACH = 2  # images for each component

# With the images, all that decides the mixture: another recipe is kept in another folder.
RECIPE: dict[str, Any] = {
    "version": 2,
    "most_dimensions": MOST_DIMENSIONS,
    "share_of_variance": SHARE,
    "components": COMPONENTS,
    "turns": TURNS,
    "pixel_variance": PIXEL_VARIANCE,
}


class NoFit(Exception):
    """Why no mixture can be fitted to these images: a clause."""


class Fit(NamedTuple):
    """A fitted mixture, and how it came about."""

    sampler: Sampler
    facts: dict[str, Any]  # JSON


class MixtureBesideNoise(FittedLatents):
    """A mixture of `dimensions` numbers, and after them as many numbers from N(0, 1) as are asked for."""

    def __init__(self, dimensions: int, components: int, others: int) -> None:
        super().__init__()
        self.mixture = MixtureLatents(dimensions, components)
        self.noise_size = self.mixture.noise_size + others

    def forward(self, noise: Tensor) -> Tensor:
        mine = self.mixture.noise_size
        return torch.cat([self.mixture(noise[:, :mine]), noise[:, mine:]], dim=1)

    def fit(self, latents: Tensor) -> None:
        self.mixture.fit(latents)


class PrincipalComponents(nn.Module):
    """Principal components (B, d), or these beside noise for each value, (B, d + D) => images or points (B, *shape).

    They are the mean and a sum of orthonormal axes, plus the noise, if there is any, times each value's standard
    deviation outside of what the axes span.
    """

    def __init__(self, dimensions: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.mean = nn.Parameter(torch.zeros(prod(shape)), requires_grad=False)
        self.axes = nn.Parameter(torch.eye(dimensions, prod(shape)), requires_grad=False)
        self.residual = nn.Parameter(torch.zeros(prod(shape)), requires_grad=False)

    def forward(self, latents: Tensor, given: Tensor | None = None) -> Tensor:
        components, noise = latents[:, : len(self.axes)], latents[:, len(self.axes) :]
        values = self.mean + components @ self.axes
        return (values + self.residual * noise if noise.shape[1] else values).unflatten(1, self.shape)


def mixture_sampler(components: int, dimensions: int, shape: tuple[int, ...], residual_noise: bool = False) -> Sampler:
    """The sampler of a mixture, with weights to be loaded or fitted; they are the same with `residual_noise`."""
    latents = MixtureBesideNoise(dimensions, components, prod(shape) if residual_noise else 0)
    return Sampler(PrincipalComponents(dimensions, shape), dimensions, "identity", latents=latents)


def fit_mixture(images: np.ndarray, held_out: np.ndarray) -> Fit:
    """A Gaussian mixture with full covariances of points (N, 2), or of the first principal components of images in
    [-1, 1] (N, C, H, W), float32: as many as hold 85 % of their variance, and 64 at most.

    The number of components is the one under which the held-out images have the highest mean log-likelihood: the
    numbers are tried in turn, up to the first that is not better. NoFit for too few images, or where no covariances
    are regular.
    """
    start, shape = time.monotonic(), images.shape[1:]
    largest = len(images) // LEAST_OF_EACH
    if largest < COMPONENTS[0] or not len(held_out):
        raise NoFit(f"{len(images) + len(held_out)} train images are too few for a Gaussian mixture")
    flat, others = images.reshape(len(images), -1), held_out.reshape(len(held_out), -1)
    mean, axes, share, residual = principal_axes(flat) if len(shape) == 3 else coordinates(flat)
    points, held_out_points = (flat - mean) @ axes.T, (others - mean) @ axes.T
    if len(shape) == 3:  # in float32, which is twice as fast, since no variance is near 0
        best, likelihoods = chosen(points, held_out_points, PIXEL_VARIANCE, TURNS["images"], largest)
    else:
        ridge = RIDGE * points.var(0).mean() + TINY
        best, likelihoods = chosen(points, held_out_points, ridge, TURNS["points"], largest)
    if best is None:
        raise NoFit("no Gaussian mixture of the train images has regular covariances")
    sampler = mixture_sampler(len(best.weights_), len(axes), shape)
    decoder, latents = sampler.network, sampler.latents
    assert isinstance(decoder, PrincipalComponents) and isinstance(latents, MixtureBesideNoise)
    latents.mixture.take(best)
    decoder.mean.copy_(torch.from_numpy(mean))
    decoder.axes.copy_(torch.from_numpy(axes))
    decoder.residual.copy_(torch.from_numpy(residual))
    facts = {
        "components": len(best.weights_),
        "dimensions": len(axes),
        "share_of_variance": round(share, 4),
        "images": len(images),
        "held_out_images": len(held_out),
        "held_out_log_likelihoods": {str(count): round(value, 4) for count, value in likelihoods.items()},
        "seconds": round(time.monotonic() - start, 1),
    }
    return Fit(sampler, facts)


class Axes(NamedTuple):
    """Axes of data (N, D)."""

    mean: np.ndarray  # (D,)
    axes: np.ndarray  # (d, D), orthonormal
    share: float  # of the variance, along these
    residual: np.ndarray  # (D,): standard deviation of each value outside of what they span


def coordinates(flat: np.ndarray) -> Axes:
    """All axes of points (N, 2)."""
    return Axes(flat.mean(0), np.eye(flat.shape[1]), 1.0, np.zeros(flat.shape[1]))


def principal_axes(flat: np.ndarray) -> Axes:
    """The first principal axes of images (N, D)."""
    from sklearn.decomposition import PCA

    with np.errstate(invalid="ignore"):  # equal images have no variance to divide by
        found = PCA(min(MOST_DIMENSIONS, *flat.shape), random_state=0).fit(flat)
    shares = np.nan_to_num(found.explained_variance_ratio_).cumsum()
    dimensions = min(int((shares < SHARE).sum()) + 1, len(shares))
    axes = found.components_[:dimensions]
    spanned = found.explained_variance_[:dimensions] @ axes**2
    residual = np.sqrt(np.maximum(flat.var(0) - spanned, 0))
    return Axes(found.mean_, axes, float(shares[dimensions - 1]), residual)


def chosen(
    points: np.ndarray, held_out: np.ndarray, ridge: float, turns: int, largest: int
) -> tuple[GaussianMixture | None, dict[int, float]]:
    """The mixture under which held-out points (M, d) are likeliest, and their mean log-likelihood in nats by the number
    of components, as far as they were tried.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    best, highest = None, -np.inf
    likelihoods: dict[int, float] = {}
    for count in COMPONENTS:
        if count > largest:
            break
        mixture = GaussianMixture(count, reg_covar=ridge, max_iter=turns, random_state=0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                mixture.fit(points)
        except ValueError:  # a covariance is singular
            break
        likelihood = float(mixture.score(held_out))
        if not np.isfinite(likelihood):
            break
        likelihoods[count] = likelihood
        if likelihood <= highest:
            break
        best, highest = mixture, likelihood
    return best, likelihoods
