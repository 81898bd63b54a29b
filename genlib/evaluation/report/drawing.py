"""The figures of a report, drawn: samples, their nearest training images, reconstructions and traversals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from genlib.data.contexts import truth_of
from genlib.data.folder import DatasetFolder
from genlib.data.parts import whole_test_split
from genlib.evaluation.report.figures import ReportFigures
from genlib.evaluation.report.plots import SHOWN_POINTS
from genlib.evaluation.scoring.held_out import HeldOut, rows_of
from genlib.evaluation.scoring.reference import Reference
from genlib.evaluation.statistics.neighbours import centred, nearest
from genlib.evaluation.statistics.reconstruction import reconstructed
from genlib.models.base import Batch, EncoderModel, LatentVariableModel
from genlib.pixels.scale import to_uint8
from genlib.sampling.draw import draw_latents
from genlib.sampling.grid import sample_grid
from genlib.sampling.sampler import TrainedSampler

GRID, PAIRS, NEIGHBOURS, ROWS, STEPS, TRAVERSED = 64, 16, 5, 6, 9, 8
REACH = 3.0  # standard deviations of the prior to either side of a traversal


def most(dataset: DatasetFolder) -> int:
    """Most samples that are shown."""
    return SHOWN_POINTS if dataset.is_points else GRID


def of_samples(samples: Tensor, features: Tensor, train: Reference, dataset: DatasetFolder) -> ReportFigures:
    """A grid of uint8 samples (N, C, H, W), and beside the first of them the training images nearest by features, of
    which the samples' are (N, d); or points, float32 (N, 2), over those of the test split.
    """
    if dataset.is_points:
        return ReportFigures(points=samples, real_points=torch.from_numpy(dataset.images("test")[:SHOWN_POINTS].copy()))
    count = min(PAIRS, len(samples))
    others, points = centred(train.features, features[:count])
    found = nearest(points, others, k=min(NEIGHBOURS, len(others)))
    images = dataset.images("train")
    rows = train.rows[found.rows.cpu()]  # (count, k)
    neighbours = torch.stack([torch.from_numpy(images[of_one.numpy()]) for of_one in rows])
    return ReportFigures(samples=samples[:GRID], nearest=torch.cat([samples[:count, None], neighbours], dim=1))


def of_baseline(shown: ReportFigures, sampler: TrainedSampler | None, seed: int) -> ReportFigures:
    """The figures with samples of the baseline, uint8 (N, C, H, W); none without one, and none of points."""
    if sampler is None or len(sampler.image_shape) == 1:
        return shown
    return replace(shown, baseline=sampler.images(PAIRS, seed))


def of_sampler(shown: ReportFigures, sampler: TrainedSampler, seed: int) -> ReportFigures:
    """The figures with walks between pairs of latents, (rows, steps, C, H, W), under the label or context of the first;
    and with samples of each label, if there are labels, (rows, labels, C, H, W).
    """
    latents = draw_latents(sampler.latent_size, seed, chunk=0)[: 2 * ROWS]
    steps = torch.linspace(0, 1, STEPS)
    walks = torch.stack([slerp(ends[0], ends[1], steps) for ends in latents.split(2)]).to(sampler.device)
    given = sampler.given(0, seed)
    with torch.inference_mode():
        held = None if given is None else given[: 2 * ROWS : 2].repeat_interleave(STEPS, 0).to(sampler.device)
        images = to_uint8(sampler.module(walks.flatten(0, 1), held)).cpu().unflatten(0, (ROWS, STEPS))
    shown = replace(shown, interpolations=images)
    if not sampler.classes:
        return shown
    by_label = sample_grid(sampler, GRID, seed)
    assert by_label.columns is not None
    names = sampler.label_names or [str(label) for label in range(by_label.columns)]
    return replace(
        shown,
        by_label=by_label.images.unflatten(0, (-1, by_label.columns)),
        labels=tuple(names[: by_label.columns]),
    )


def of_contexts(
    shown: ReportFigures, sampler: TrainedSampler, seed: int, dataset: DatasetFolder, binarize: bool
) -> ReportFigures:
    """The figures with conditions from test images, samples for them, and these images; none without one."""
    if not sampler.condition:
        return shown
    rows = sample_grid(sampler, GRID, seed)
    assert rows.columns is not None
    beside = rows.images.unflatten(0, (-1, rows.columns))
    truth = to_uint8(truth_of(whole_test_split(dataset), 0, binarize))[: len(beside)]
    shown = replace(shown, of_contexts=torch.cat([beside, truth[:, None]], dim=1))
    return replace(shown, captions=tuple(sampler.condition.texts(sampler.stored_contexts(0)[: len(beside)])))


@torch.no_grad()
def of_encoder(
    shown: ReportFigures, model: EncoderModel, test: HeldOut, nats: Sequence[float] | None, batch_size: int
) -> ReportFigures:
    """The figures with originals beside reconstructions, (n, 2, C, H, W); and where the prior is N(0, I), whose `nats`
    tell how much each latent dimension carries, with those that carry most, each moved from -3 to 3 in the first
    original's posterior mean, (dimensions, steps, C, H, W).
    """
    batch = test.batch(0, next(model.parameters()).device)
    originals = rows_of(batch, torch.arange(min(PAIRS, len(batch.images))))
    pairs = [to_uint8(originals.images), reconstructed(model, originals, batch_size)]
    shown = replace(shown, reconstructions=torch.stack(pairs, dim=1).cpu())
    if nats is None or not isinstance(model, LatentVariableModel):
        return shown
    dimensions = torch.tensor(nats).argsort(descending=True)[:TRAVERSED].tolist()
    moved = traversed(model, rows_of(batch, torch.arange(1)), dimensions)
    return replace(shown, traversals=moved, traversed=tuple(dimensions))


def traversed(model: LatentVariableModel, first: Batch, dimensions: Sequence[int]) -> Tensor:
    """Traversals for a batch of one, under its label or context; uint8 (dimensions, steps, C, H, W)."""
    moved = model.posterior(first).mean.expand(len(dimensions), STEPS, -1).clone()
    for row, dimension in enumerate(dimensions):
        moved[row, :, dimension] = torch.linspace(-REACH, REACH, STEPS)
    held = first.map(lambda part: part.expand(len(dimensions) * STEPS, *part.shape[1:]))
    images = model.sampler.decode(moved.flatten(0, 1), held.given)
    return to_uint8(images).cpu().unflatten(0, moved.shape[:2])


def slerp(first: Tensor, second: Tensor, steps: Tensor) -> Tensor:
    """Interpolation along the great circle between two latents (d,), whose lengths a normal distribution makes nearly
    equal (White 2016); (steps, d).
    """
    angle = torch.acos(torch.cosine_similarity(first, second, dim=0).clamp(-1, 1))
    if angle.sin().abs() < 1e-6:
        return torch.lerp(first, second, steps[:, None])
    weights = torch.stack([torch.sin((1 - steps) * angle), torch.sin(steps * angle)]) / angle.sin()
    return weights[0, :, None] * first + weights[1, :, None] * second
