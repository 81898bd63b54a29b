"""The pictures of a report: what a sampler makes, what lies nearest to it, what an encoder keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlib.data.folder import DatasetFolder
from genlib.evaluation.features import Chunk
from genlib.evaluation.likelihood import Likelihood
from genlib.evaluation.neighbours import centred, nearest
from genlib.evaluation.page import Exhibits
from genlib.evaluation.reconstruction import reconstructed
from genlib.evaluation.reference import Reference
from genlib.methods.base import LatentVariableMethod, Sampler
from genlib.pixels import to_uint8, to_unit
from genlib.sampling import TrainedSampler, draw_latents

GRID, PAIRS, NEIGHBOURS, ROWS, STEPS, TRAVERSED = 64, 16, 5, 6, 9, 8
REACH = 3.0  # standard deviations of the prior to either side of a traversal


def of_samples(samples: Tensor, features: Tensor, train: Reference, dataset: DatasetFolder) -> Exhibits:
    """A grid of uint8 samples (N, C, H, W), and beside the first of them the training images nearest by features, of
    which the samples' are (N, d).
    """
    count = min(PAIRS, len(samples))
    others, points = centred(train.features, features[:count])
    found = nearest(points, others, k=min(NEIGHBOURS, len(others)))
    images = dataset.images("train")
    rows = train.rows[found.rows.cpu()]  # (count, k)
    neighbours = torch.stack([torch.from_numpy(images[of_one.numpy()]) for of_one in rows])
    return Exhibits(samples=samples[:GRID], nearest=torch.cat([samples[:count, None], neighbours], dim=1))


def of_sampler(sampler: TrainedSampler, seed: int) -> Tensor:
    """Walks between pairs of latents, uint8 (rows, steps, C, H, W)."""
    latents = draw_latents(sampler.latent_size, seed, chunk=0)[: 2 * ROWS]
    steps = torch.linspace(0, 1, STEPS)
    walks = torch.stack([slerp(ends[0], ends[1], steps) for ends in latents.split(2)])
    return decoded(sampler.module, walks, sampler.device)


def of_encoder(
    method: LatentVariableMethod, model: nn.Module, test: Chunk, found: Likelihood, batch_size: int
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Originals beside reconstructions, uint8 (n, 2, C, H, W); the latent dimensions that carry most, each moved from
    -3 to 3 in the first original's posterior mean, (dimensions, steps, C, H, W); and which dimensions these are.
    """
    device = next(model.parameters()).device
    originals = test(0)[:PAIRS]
    pairs = torch.stack(
        [originals, reconstructed(method, model, to_unit(originals.to(device)), batch_size).cpu()], dim=1
    )
    information = torch.tensor(found.details["kl_per_dimension"])
    dimensions = information.argsort(descending=True)[:TRAVERSED].tolist()
    with torch.no_grad():
        start = method.posterior(model, to_unit(originals[:1].to(device))).mean[0].cpu()
    moved = start.expand(len(dimensions), STEPS, -1).clone()
    for row, dimension in enumerate(dimensions):
        moved[row, :, dimension] = torch.linspace(-REACH, REACH, STEPS)
    return pairs, decoded(method.sampler_of(model), moved, device), tuple(dimensions)


@torch.no_grad()
def decoded(module: Sampler, latents: Tensor, device: torch.device) -> Tensor:
    """float (rows, steps, d) => uint8 (rows, steps, C, H, W) on the CPU."""
    return to_uint8(module(latents.flatten(0, 1).to(device))).cpu().unflatten(0, latents.shape[:2])


def slerp(first: Tensor, second: Tensor, steps: Tensor) -> Tensor:
    """Along the great circle between two latents (d,), whose lengths a normal distribution makes nearly equal (White
    2016); (steps, d).
    """
    angle = torch.acos(torch.cosine_similarity(first, second, dim=0).clamp(-1, 1))
    if angle.sin().abs() < 1e-6:
        return torch.lerp(first, second, steps[:, None])
    weights = torch.stack([torch.sin((1 - steps) * angle), torch.sin(steps * angle)]) / angle.sin()
    return weights[0, :, None] * first + weights[1, :, None] * second
