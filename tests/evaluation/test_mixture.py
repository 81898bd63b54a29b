"""The mixture that models are measured against: its samples, and the number of its components."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from genlib.evaluation.statistics import mixture as module
from genlib.evaluation.statistics.mixture import (
    PIXEL_VARIANCE,
    MixtureBesideNoise,
    NoFit,
    PrincipalComponents,
    fit_mixture,
    mixture_sampler,
)
from genlib.sampling.sampler import TrainedSampler

TEN = np.stack(np.meshgrid(np.arange(5), np.arange(2)), axis=-1).reshape(10, 2)
TWENTY_FIVE = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(25, 2)


def around(centres: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Points with a standard deviation of 0.1 around the centres, float32 (count, 2)."""
    random = np.random.RandomState(seed)
    return (centres[random.randint(len(centres), size=count)] + 0.1 * random.randn(count, 2)).astype(np.float32)


@pytest.mark.parametrize("centres", [TEN, TWENTY_FIVE])
def test_held_out_points_tell_the_number_of_components(centres: np.ndarray) -> None:
    fit = fit_mixture(around(3 * centres, 1000, seed=0), around(3 * centres, 300, seed=1))
    assert fit.facts["components"] == len(centres)
    assert (fit.facts["images"], fit.facts["held_out_images"], fit.facts["dimensions"]) == (1000, 300, 2)
    likelihoods = fit.facts["held_out_log_likelihoods"]
    assert max(likelihoods, key=likelihoods.__getitem__) == str(len(centres))


def test_the_log_likelihood_is_the_mean_of_held_out_images_in_nats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMPONENTS", (1,))
    monkeypatch.setattr(module, "SHARE", 1.0)
    random = np.random.RandomState(0)
    images = (0.2 * random.randn(400, 1, 2, 2)).astype(np.float32)
    fit = fit_mixture(images[100:], images[:100])
    flat = images[100:].reshape(300, 4).astype(np.float64)
    covariance = np.cov(flat.T, bias=True) + PIXEL_VARIANCE * np.eye(4)
    exact = multivariate_normal(flat.mean(0), covariance).logpdf(images[:100].reshape(100, 4)).mean()
    assert fit.facts["held_out_log_likelihoods"] == {"1": pytest.approx(exact, abs=1e-3)}


def test_samples_have_the_mean_and_the_covariance_of_the_mixture_along_the_axes() -> None:
    weights, means = np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0.0], [1.0, -2.0], [-3.0, 1.0]])
    factors = np.array([[[1.0, 0], [0.5, 0.2]], [[0.3, 0], [0, 0.4]], [[2.0, 0], [-1, 0.1]]])
    covariances = factors @ factors.transpose(0, 2, 1)
    sampler = mixture_sampler(3, 2, (1, 1, 3))
    assert isinstance(sampler.network, PrincipalComponents) and isinstance(sampler.latents, MixtureBesideNoise)
    sampler.latents.mixture.take(SimpleNamespace(weights_=weights, means_=means, covariances_=covariances))
    axes, _ = np.linalg.qr(np.random.RandomState(0).randn(3, 3))
    sampler.network.axes.copy_(torch.from_numpy(axes[:2]))
    sampler.network.mean.copy_(torch.tensor([5.0, 6.0, 7.0]))

    noise = torch.randn(400_000, 3, generator=torch.Generator().manual_seed(0))
    drawn = sampler(noise)
    assert drawn.shape == (400_000, 1, 1, 3)
    mean = weights @ means
    second = np.einsum("k,kij->ij", weights, covariances + means[:, :, None] * means[:, None])
    covariance = axes[:2].T @ (second - np.outer(mean, mean)) @ axes[:2]
    np.testing.assert_allclose(drawn.reshape(-1, 3).mean(0), mean @ axes[:2] + [5, 6, 7], atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.reshape(-1, 3).T.double()), covariance, atol=0.05)


def test_a_seeds_image_is_the_same_whatever_else_is_asked_for() -> None:
    images = np.tanh(np.random.RandomState(0).randn(60, 1, 3, 3)).astype(np.float32)
    sampler = TrainedSampler(fit_mixture(images[10:], images[:10]).sampler, (1, 3, 3))
    drawn = sampler.images(300, seed=4)
    assert drawn.dtype == torch.uint8 and drawn.shape == (300, 1, 3, 3)
    assert torch.equal(drawn[256:], sampler.chunk(1, seed=4)[:44])
    assert not torch.equal(drawn[:256], sampler.chunk(0, seed=5))


def test_images_of_many_pixels_are_seen_through_principal_components() -> None:
    random = np.random.RandomState(0)
    hidden = random.randn(500, 3) * [3, 2, 1]
    axes, _ = np.linalg.qr(random.randn(10 * 10, 3))
    images = (hidden @ axes.T + 0.25).reshape(500, 1, 10, 10).astype(np.float32)
    fit = fit_mixture(images[50:], images[:50])
    assert fit.facts["dimensions"] == 2 and fit.facts["share_of_variance"] == pytest.approx(13 / 14, abs=0.01)
    assert isinstance(fit.sampler.network, PrincipalComponents)
    found = fit.sampler.network.axes.numpy()
    np.testing.assert_allclose(np.abs(found @ axes[:, :2]), np.eye(2), atol=0.1)  # the same axes, but for their signs


def test_residual_noise_has_the_variance_that_the_axes_leave_out() -> None:
    images = (np.random.RandomState(0).randn(2000, 1, 3, 3) * np.linspace(0.1, 1, 9).reshape(3, 3)).astype(np.float32)
    fit = fit_mixture(images[100:], images[:100])
    dimensions, components = fit.facts["dimensions"], fit.facts["components"]
    assert dimensions < 9
    noisy = mixture_sampler(components, dimensions, (1, 3, 3), residual_noise=True)
    noisy.load_state_dict(fit.sampler.state_dict())
    noise = torch.randn(100_000, dimensions + 1 + 9, generator=torch.Generator().manual_seed(0))
    within, whole = fit.sampler(noise[:, : dimensions + 1]), noisy(noise)
    assert within.var(0).sum() < 0.95 * images.var(0).sum()
    np.testing.assert_allclose(whole.var(0), images[100:].var(0), rtol=0.05, atol=0.01)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_equal_images_have_a_mixture_of_hardly_any_width(value: float) -> None:
    sampler = fit_mixture(np.full((40, 1, 2, 2), value, np.float32), np.full((4, 1, 2, 2), value, np.float32)).sampler
    drawn = sampler(torch.randn(1000, sampler.latent_size, generator=torch.Generator().manual_seed(0)))
    assert drawn.mean().item() == pytest.approx(value, abs=0.01)
    assert drawn.var(0).sum().item() <= 1.1 * PIXEL_VARIANCE * 4


def test_too_few_images_have_no_mixture() -> None:
    images = np.random.RandomState(0).randn(22, 1, 2, 2).astype(np.float32)
    with pytest.raises(NoFit, match="21 train images are too few for a Gaussian mixture"):
        fit_mixture(images[:19], images[20:])
    assert fit_mixture(images[:20], images[20:]).facts["components"] == 10
