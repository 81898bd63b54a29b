"""Bounds on the likelihood of held-out images under a latent-variable model, and the use of its latents."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlib.evaluation.estimates import Estimate, Findings, over_images
from genlib.evaluation.scoring.held_out import HeldOut, parts_of, rows_of
from genlib.evaluation.scoring.processes import Processes, exact_device
from genlib.losses.gaussians import kl_to_standard_normal_by_dimension
from genlib.models.base import Batch, LatentVariableModel
from genlib.models.posterior import Posterior
from genlib.runtime.randomness import generator_for
from genlib.sampling.draw import CHUNK

CURVE = (1, 10, 100, 1000, 5000)  # importance samples at which the log-likelihood is reported
DRAWN_AT_ONCE = 50  # importance samples of a chunk's images that come from one generator
ACTIVE = 0.01  # variance of the posterior mean of a latent dimension in use (Burda et al. 2015, section 5.1)
SCALE = 127.5  # steps of uint8 in a unit of pixels in [-1, 1]


@torch.no_grad()
def likelihood(
    model: LatentVariableModel,
    images: HeldOut,
    samples: int,
    seed: int,
    processes: Processes,
    batch_size: int = 256,
) -> Findings:
    """Likelihood of `images`, or points, each with `samples` importance samples; nats per image.

    `elbo` is `reconstruction` (the expected log-likelihood of the pixels, negated) and `kl` taken from 0, the latter in
    closed form where the prior is N(0, I), else the draws' mean; `log_likelihood` the importance-weighted bound on
    log p(x) (Burda et al. 2015, eq. 8), whose curve averages over all disjoint groups of k samples, so that it rises
    with every k that divides the next; `bits_per_dim` that of uint8 pixels (Theis et al. 2016, section 3.1), for which
    a density's pixels are dequantized by uniform noise of their own width. Draws are functions of (seed, image,
    sample): `batch_size` and processes change nothing.
    """
    sizes = [size for size in CURVE if size < samples] + [samples]
    device = next(model.parameters()).device
    mine: dict[int, Tensor] = {}

    def look(index: int) -> None:
        mine[index] = table_of_chunk(model, images.batch(index, device), index, sizes, seed, batch_size)

    processes.share(images.count, look, "likelihood" if samples > 1 else None)
    columns = ["reconstruction", "kl", *map(str, sizes)]
    width = processes.first(lambda: mine[0].shape[1])  # there may be no chunk for another process
    table = processes.gather(mine, images.count, width, torch.float64).cpu()
    per_image = dict(zip(columns, table.T, strict=False))
    per_image["elbo"] = -per_image["reconstruction"] - per_image["kl"]
    per_image["log_likelihood"] = per_image[str(samples)]
    shape = images.chunk(0).shape[1:]
    condition = model.sampler.condition
    if len(shape) == 3 and model.pixels != "cross-entropy" and (condition is None or condition.counts_all_pixels):
        per_image["bits_per_dim"] = bits_per_dim(per_image["log_likelihood"], shape.numel(), model.pixels == "density")
    estimates = {name: over_images(values) for name, values in per_image.items()}
    means, divergences = table[:, len(columns) :], None
    if model.has_standard_prior:
        means, divergences = means.chunk(2, dim=1)
    spread = means.var(0)  # over the images
    curve = [{"k": size, **value_and_error(estimates.pop(str(size)))} for size in sizes]
    return Findings(
        {**estimates, "active_units": Estimate(int((spread > ACTIVE).sum()), images.count)},
        {
            "log_likelihood_curve": curve,
            **({} if divergences is None else {"kl_per_dimension": divergences.mean(0).tolist()}),
            "posterior_mean_variance": spread.tolist(),
        },
    )


def bits_per_dim(log_likelihood: Tensor, dimensions: int, density: bool) -> Tensor:
    """Bits per dimension of uint8 pixels, from nats per image; a density over [-1, 1] is first one over uint8 steps."""
    of_step = math.log(SCALE) if density else 0.0
    return (of_step - log_likelihood / dimensions) / math.log(2)


def value_and_error(estimate: Estimate) -> dict[str, float | None]:
    return {"value": estimate.value, "standard_error": estimate.standard_error}


def table_of_chunk(
    model: LatentVariableModel, batch: Batch, index: int, sizes: list[int], seed: int, batch_size: int
) -> Tensor:
    """For images in [-1, 1] or points: reconstruction, KL, the bound at each size, the posterior's mean, and where the
    prior is N(0, I) the KL of each latent dimension; float64 (B, columns).
    """
    if batch.images.ndim == 4 and model.pixels == "density":
        noise = torch.rand(CHUNK, *batch.images.shape[1:], generator=generator_for("dequantization", seed, index))
        moved = (noise[: len(batch.images)].to(batch.images.device) - 0.5) / SCALE
        batch = batch._replace(images=batch.images + moved)
    found = [model.posterior(part) for part in parts_of(batch, batch_size)]
    posterior = Posterior(torch.cat([part.mean for part in found]), torch.cat([part.log_variance for part in found]))
    log_likelihoods, log_ratios = importance(model, batch, posterior, index, sizes[-1], seed, batch_size)
    bounds = [bound(log_likelihoods + log_ratios, size) for size in sizes]
    means, log_variances = (of.to(log_ratios) for of in posterior)
    if model.has_standard_prior:
        divergences = kl_to_standard_normal_by_dimension(means, log_variances)
        kl = divergences.sum(1)
    else:
        divergences, kl = means[:, :0], -log_ratios.mean(0)
    return torch.cat([torch.stack([-log_likelihoods.mean(0), kl, *bounds], dim=1), means, divergences], dim=1)


def importance(
    model: LatentVariableModel,
    batch: Batch,
    posterior: Posterior,
    index: int,
    samples: int,
    seed: int,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """log p(x | z) and log p(z) - log q(z | x) for `samples` draws z ~ q(z | x) of each image, float64 (samples, B)."""
    count, device = len(batch.images), batch.images.device
    exact = exact_device(device)
    log_likelihoods, log_ratios = [], []
    for first in range(0, samples, DRAWN_AT_ONCE):
        generator = generator_for("importance samples", seed, index, first // DRAWN_AT_ONCE)
        drawn = torch.randn(DRAWN_AT_ONCE, CHUNK, model.noise_size, generator=generator)
        noise = drawn[: samples - first, :count].to(device).flatten(0, 1)  # (S * B, noise_size)
        for draws in torch.arange(len(noise), device=device).split(batch_size):
            rows = draws % count
            of_rows = Posterior(posterior.mean[rows], posterior.log_variance[rows])
            weights = model.weigh(rows_of(batch, rows), of_rows, noise[draws])
            log_likelihoods.append(weights.log_likelihood.to(exact, torch.float64))
            log_ratios.append(weights.log_ratio.to(exact, torch.float64))
    shape = (samples, count)
    return torch.cat(log_likelihoods).reshape(shape), torch.cat(log_ratios).reshape(shape)


def bound(log_weights: Tensor, size: int) -> Tensor:
    """log of the mean of `size` weights, averaged over all disjoint groups of so many; (S, B) => (B,)."""
    groups = len(log_weights) // size
    whole = log_weights[: groups * size].unflatten(0, (groups, size))
    return (whole.logsumexp(1) - math.log(size)).mean(0)
