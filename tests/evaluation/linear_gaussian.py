"""A latent-variable model whose marginal likelihood is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genlib.evaluation.scoring.held_out import HeldOut
from genlib.losses.gaussians import normal_log_density
from genlib.losses.likelihoods.gaussian.module import gaussian_negative_log_likelihood
from genlib.models.base import Batch, LatentVariableModel, Weights
from genlib.models.posterior import Posterior
from genlib.models.sampler import Sampler
from genlib.sampling.draw import CHUNK

SIGMA, LATENTS, PIXELS = 0.5, 3, 16


class LinearGaussian(LatentVariableModel):
    """x = W z + b + sigma * noise, z ~ N(0, I): p(x) = N(b, W W' + sigma^2 I) (Tipping & Bishop 1999, section 3).

    The columns of W are orthogonal, so that the true posterior has a diagonal covariance. `widening` scales the
    approximate posterior's standard deviation: at 1 it is the true one.
    """

    pixels = "cross-entropy"  # they stay as they are
    noise_size = LATENTS
    has_standard_prior = True

    def __init__(self, widening: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(PIXELS, LATENTS, generator=generator)).Q
        decoder = nn.Linear(LATENTS, PIXELS)
        with torch.no_grad():
            decoder.weight.copy_(columns * torch.tensor([1.0, 0.7, 0.3]))
            decoder.bias.copy_(0.2 * torch.randn(PIXELS, generator=generator))
        super().__init__(Sampler(Unlabelled(decoder), LATENTS, "identity"))
        self.widening = widening
        self.encoded = 0  # images

    @property
    def linear(self) -> nn.Linear:
        return self.sampler.network.decoder

    def marginal(self) -> MultivariateNormal:
        weight = self.linear.weight.double()
        covariance = weight @ weight.T + SIGMA**2 * torch.eye(PIXELS, dtype=torch.float64)
        return MultivariateNormal(self.linear.bias.double(), covariance)

    def posterior(self, batch: Batch) -> Posterior:
        self.encoded += len(batch.images)
        weight, bias = self.linear.weight, self.linear.bias
        precision = (weight.T @ weight).diagonal() + SIGMA**2
        mean = (batch.images.flatten(1) - bias) @ weight / precision
        log_variance = torch.log(SIGMA**2 / precision * self.widening**2)
        return Posterior(mean, log_variance.expand_as(mean))

    def weigh(self, batch: Batch, posterior: Posterior, noise: Tensor) -> Weights:
        latents = posterior.at(noise)
        zero = torch.zeros_like(latents)
        log_ratio = normal_log_density(latents, zero, zero) - normal_log_density(latents, *posterior)
        return Weights(
            -gaussian_negative_log_likelihood(batch.images, self.sampler.network(latents), SIGMA), log_ratio, latents
        )

    def encode(self, batch: Batch) -> Tensor:
        return self.posterior(batch).sample()

    def reconstruct(self, batch: Batch) -> Tensor:
        return self.sampler.decode(self.posterior(batch).mean)


class Unlabelled(nn.Module):
    """A decoder to images of 4 x 4 pixels that ignores labels."""

    def __init__(self, decoder: nn.Linear) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(latents).unflatten(1, (1, 4, 4))


def held_out(images: Tensor, count: int | None = None, labels: Tensor | None = None, **more: int) -> HeldOut:
    """The first `count` of images (N, ...), with labels (N,) if there are any."""

    def rows(index: int) -> slice:
        return slice(CHUNK * index, CHUNK * (index + 1))

    return HeldOut(
        lambda index: images[rows(index)],
        lambda index: None if labels is None else labels[rows(index)],
        count or len(images),
        **more,
    )
