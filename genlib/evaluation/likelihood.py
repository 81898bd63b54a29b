"""What a latent-variable model says of held-out images: bounds on their likelihood, and the use of its latents."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from genlib.config import MethodConfig
from genlib.evaluation.features import Chunk
from genlib.evaluation.measures import Estimate
from genlib.evaluation.processes import Processes, exact_device
from genlib.evaluation.reconstruction import reconstructed, similarity
from genlib.losses.divergences import kl_to_standard_normal_by_dimension
from genlib.methods import build_method
from genlib.methods.base import LatentVariableMethod, Posterior
from genlib.networks.mlp import ImageShape
from genlib.pixels import to_unit
from genlib.randomness import generator_for
from genlib.sampling import CHUNK

CURVE = (1, 10, 100, 1000, 5000)  # importance samples at which the log-likelihood is reported
DRAWN_AT_ONCE = 50  # importance samples of a chunk's images that come from one generator
ACTIVE = 0.01  # variance of the posterior mean of a latent dimension in use (Burda et al. 2015, section 5.1)
SCALE = 127.5  # steps of uint8 in a unit of pixels in [-1, 1]


@dataclass(frozen=True)
class Likelihood:
    metrics: dict[str, Estimate] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)  # the curve, KL and posterior variance per latent dimension


def has_likelihood(config: MethodConfig, image_shape: ImageShape) -> bool:
    """Whether the method can say how likely images are, without the cost of loading its model."""
    with torch.device("meta"):
        return isinstance(build_method(config, image_shape), LatentVariableMethod)


@torch.no_grad()
def likelihood(
    method: LatentVariableMethod,
    model: nn.Module,
    chunk: Chunk,
    count: int,
    samples: int,
    seed: int,
    processes: Processes,
    batch_size: int = 256,
) -> Likelihood:
    """Over `count` uint8 images, each with `samples` importance samples; nats per image.

    `elbo` is `reconstruction` (the expected log-likelihood of the pixels, negated) and `kl` taken from 0;
    `log_likelihood` the importance-weighted bound on log p(x) (Burda et al. 2015, eq. 8), whose curve averages over all
    disjoint groups of k samples, so that it rises with every k that divides the next; `bits_per_dim` that of uint8
    pixels (Theis et al. 2016, section 3.1), for which a density's pixels are dequantized by uniform noise of their own
    width. Draws are functions of (seed, image, sample): `batch_size` and processes change nothing.
    """
    sizes = [size for size in CURVE if size < samples] + [samples]
    mine: dict[int, Tensor] = {}

    def look(index: int) -> None:
        images = chunk(index)[: count - index * CHUNK]
        mine[index] = table_of_chunk(method, model, images, index, sizes, seed, batch_size)

    processes.share(count, look, "likelihood" if samples > 1 else None)
    latent_size = method.sampler_of(model).latent_size
    columns = ["psnr", "ssim", "reconstruction", "kl", *map(str, sizes)]
    table = processes.gather(mine, count, len(columns) + 2 * latent_size, torch.float64).cpu()
    numbers, means, divergences = table.split([len(columns), latent_size, latent_size], dim=1)
    per_image = dict(zip(columns, numbers.T, strict=True))
    per_image["elbo"] = -per_image["reconstruction"] - per_image["kl"]
    per_image["log_likelihood"] = per_image[str(samples)]
    if method.is_density:
        dimensions = chunk(0)[0].numel()
        nats = dimensions * math.log(SCALE) - per_image["log_likelihood"]
        per_image["bits_per_dim"] = nats / (dimensions * math.log(2))
    estimates = {name: over_images(values) for name, values in per_image.items()}
    spread = means.var(0)  # over the images
    curve = [{"k": size, **value_and_error(estimates.pop(str(size)))} for size in sizes]
    return Likelihood(
        {**estimates, "active_units": Estimate(int((spread > ACTIVE).sum()), count)},
        {
            "log_likelihood_curve": curve,
            "kl_per_dimension": divergences.mean(0).tolist(),
            "posterior_mean_variance": spread.tolist(),
        },
    )


def over_images(values: Tensor) -> Estimate:
    return Estimate(values.mean().item(), len(values), (values.std() / len(values) ** 0.5).item())


def value_and_error(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "standard_error": estimate.standard_error}


def table_of_chunk(
    method: LatentVariableMethod,
    model: nn.Module,
    images: Tensor,
    index: int,
    sizes: list[int],
    seed: int,
    batch_size: int,
) -> Tensor:
    """Of uint8 images (B, C, H, W): PSNR, SSIM, reconstruction, KL, the bound at each size, the posterior's mean and
    the KL of each latent dimension; float64 (B, columns).
    """
    device = next(model.parameters()).device
    pixels = to_unit(images.to(device))
    if method.is_density:
        noise = torch.rand(CHUNK, *images.shape[1:], generator=generator_for("dequantization", seed, index))
        pixels += (noise[: len(images)].to(device) - 0.5) / SCALE
    parts = [method.posterior(model, part) for part in pixels.split(batch_size)]
    posterior = Posterior(torch.cat([part.mean for part in parts]), torch.cat([part.log_variance for part in parts]))
    log_likelihoods, log_weights = importance(method, model, pixels, posterior, index, sizes[-1], seed, batch_size)
    bounds = [bound(log_weights, size) for size in sizes]
    means, log_variances = (of.to(log_weights) for of in posterior)
    divergences = kl_to_standard_normal_by_dimension(means, log_variances)
    again = reconstructed(method, model, to_unit(images.to(device)), batch_size)
    alike = [values.to(log_weights) for values in similarity(images.to(device), again)]
    columns = [*alike, -log_likelihoods.mean(0), divergences.sum(1), *bounds]
    return torch.cat([torch.stack(columns, dim=1), means, divergences], dim=1)


def importance(
    method: LatentVariableMethod,
    model: nn.Module,
    pixels: Tensor,
    posterior: Posterior,
    index: int,
    samples: int,
    seed: int,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """log p(x | z) and log p(x, z) / q(z | x) for `samples` draws z ~ q(z | x) of each image, float64 (samples, B)."""
    count, latent_size = posterior.mean.shape
    exact = exact_device(pixels.device)
    log_likelihoods, log_weights = [], []
    for first in range(0, samples, DRAWN_AT_ONCE):
        generator = generator_for("importance samples", seed, index, first // DRAWN_AT_ONCE)
        drawn = torch.randn(DRAWN_AT_ONCE, CHUNK, latent_size, generator=generator)
        noise = drawn[: samples - first, :count].to(pixels.device)
        latents = posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise  # (S, B, d)
        rows = torch.arange(len(noise) * count, device=pixels.device)
        found = [
            method.log_likelihood(model, pixels[part % count], latents.flatten(0, 1)[part])
            for part in rows.split(batch_size)
        ]
        log_likelihood = torch.cat(found).to(exact, torch.float64).unflatten(0, (len(noise), count))
        # log N(z; 0, I) - log N(z; mean, std^2): the constants cancel.
        prior_to_posterior = 0.5 * (noise.square() - latents.square() + posterior.log_variance).to(log_likelihood)
        log_likelihoods.append(log_likelihood)
        log_weights.append(log_likelihood + prior_to_posterior.sum(2))
    return torch.cat(log_likelihoods), torch.cat(log_weights)


def bound(log_weights: Tensor, size: int) -> Tensor:
    """log of the mean of `size` weights, averaged over all disjoint groups of so many; (S, B) => (B,)."""
    groups = len(log_weights) // size
    whole = log_weights[: groups * size].unflatten(0, (groups, size))
    return (whole.logsumexp(1) - math.log(size)).mean(0)
