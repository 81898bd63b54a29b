"""A latent-variable model whose marginal likelihood is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genlib.losses.likelihoods import gaussian_negative_log_likelihood
from genlib.methods.base import Batch, LatentVariableMethod, Losses, Posterior, Sampler

SIGMA, LATENTS, PIXELS = 0.5, 3, 16


class LinearGaussian(LatentVariableMethod):
    """x = W z + b + sigma * noise, z ~ N(0, I): p(x) = N(b, W W' + sigma^2 I) (Tipping & Bishop 1999, section 3).

    The columns of W are orthogonal, so that the true posterior has a diagonal covariance. `widening` scales the
    approximate posterior's standard deviation: at 1 it is the true one.
    """

    phases = ()

    def __init__(self, widening: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(PIXELS, LATENTS, generator=generator)).Q
        decoder = nn.Linear(LATENTS, PIXELS)
        with torch.no_grad():
            decoder.weight.copy_(columns * torch.tensor([1.0, 0.7, 0.3]))
            decoder.bias.copy_(0.2 * torch.randn(PIXELS, generator=generator))
        self.widening = widening
        network = nn.Sequential(decoder, nn.Unflatten(1, (1, 4, 4)))
        self.model = Sampler(network, LATENTS)

    @property
    def linear(self) -> nn.Linear:
        return self.model.network[0]  # type: ignore[index, return-value]

    def marginal(self) -> MultivariateNormal:
        weight = self.linear.weight.double()
        covariance = weight @ weight.T + SIGMA**2 * torch.eye(PIXELS, dtype=torch.float64)
        return MultivariateNormal(self.linear.bias.double(), covariance)

    def loss(self, phase: str, batch: Batch) -> Losses:
        return {}

    def sampler_of(self, model: nn.Module) -> Sampler:
        return self.model

    @property
    def is_density(self) -> bool:
        return False  # its pixels stay as they are

    def posterior(self, model: nn.Module, images: Tensor) -> Posterior:
        weight, bias = self.linear.weight, self.linear.bias
        precision = (weight.T @ weight).diagonal() + SIGMA**2
        mean = (images.flatten(1) - bias) @ weight / precision
        log_variance = torch.log(SIGMA**2 / precision * self.widening**2)
        return Posterior(mean, log_variance.expand_as(mean))

    def log_likelihood(self, model: nn.Module, images: Tensor, latents: Tensor) -> Tensor:
        return -gaussian_negative_log_likelihood(images, self.model.network(latents), SIGMA)
