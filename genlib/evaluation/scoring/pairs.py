"""Samples for the conditions of test images: how near they are to the truth, to the condition, and to each other.

All beside baselines that need no model: a guess from the condition alone, and the nearest training image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.config.metrics import computations
from genlib.contexts.images import ImageCondition
from genlib.data.contexts import context_of, truth_of
from genlib.data.parts import HeldOutPart
from genlib.evaluation.estimates import Estimate, Findings
from genlib.evaluation.features import features_of
from genlib.evaluation.metrics.pairs import root_mean
from genlib.evaluation.scoring.reference import shuffled_rows
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.frechet import FeatureMoments, Moments
from genlib.evaluation.statistics.reconstruction import similarity
from genlib.pixels.scale import to_uint8, to_unit
from genlib.sampling.draw import CHUNK
from genlib.sampling.sampler import TrainedSampler

Completions = Callable[[int], list[Tensor]]  # i => images of the contexts 256 * i .., each uint8 (256, C, H, W)
BLOCK = 4096  # training images compared at a time
MOST_TRAINING_IMAGES = 50_000  # among which the nearest is looked for


class Measured(NamedTuple):
    """Figures of completions, one for each context, float64 (N,)."""

    psnr: Tensor
    ssim: Tensor
    error: Tensor
    variance: Tensor  # of a pixel among completions of the same context, (grey levels)^2; 0 of a single one
    variance_of_all: Tensor  # of a pixel among completions of any contexts
    psnr_of_average: Tensor
    ssim_of_average: Tensor
    error_of_average: Tensor
    pairs: Moments  # of features of the condition beside the first completion's


class PairSet(NamedTuple):
    """Samples for conditions beside the test images: all that a metric of pairs is computed from."""

    samples: Measured
    truth: Measured  # the figures of the test images in the samples' place
    draws: int  # samples for each condition


class PairScorer:
    """Scores samplers with a condition that is an image, on as many images of a part as samples are asked for, each
    once at most; by `samples` for each, those of the seeds from `evaluation.seed` on.

    Every process must make it, and call it; all get the same.
    """

    def __init__(
        self, scorer: SampleScorer, condition: ImageCondition, part: HeldOutPart, binarize: bool, samples: int
    ) -> None:
        self.scorer, self.condition, self.part = scorer, condition, part
        self.binarize, self.samples = binarize, samples
        self.dataset, self.processes, self.seed = scorer.dataset, scorer.processes, scorer.asked.seed
        self.device = scorer.extractors.main.place.device
        self.count = min(scorer.asked.samples, len(part.rows))
        self.features_given: dict[int, Tensor] = {}  # of this process's contexts
        self.truth = self.measured(lambda index: [self.true_images(index)])

    @property
    def provenance(self) -> dict[str, Any]:
        return {
            "condition": self.condition.name,
            "split": self.part.name,
            "count": self.count,
            "seeds": [self.seed, self.seed + self.samples - 1],
            "nearest_of": len(self.training_rows),
        }

    def true_images(self, index: int) -> Tensor:
        return to_uint8(truth_of(self.part, index, self.binarize))

    def contexts(self, index: int) -> Tensor:
        """In [-1, 1], (256, *shape)."""
        return to_unit(context_of(self.condition, self.part, index, binarize=self.binarize))

    def __call__(self, sampler: TrainedSampler, baselines: bool = False) -> Findings:
        """The metrics of samples; with `baselines` the details have theirs beside them."""

        def samples(index: int) -> list[Tensor]:
            given = self.contexts(index)
            return [sampler.chunk(index, self.seed + draw, given=given) for draw in range(self.samples)]

        found = self.measured(samples)
        scores = self.scores(found, self.samples)
        if not baselines:
            return scores
        rows = {
            "samples": values(scores.metrics),
            f"average of {self.samples} samples": {
                "condition_psnr": found.psnr_of_average.mean().item(),
                "condition_ssim": found.ssim_of_average.mean().item(),
                "condition_error": found.error_of_average.mean().item(),
            },
            "samples of any test images": {"condition_diversity": root_mean(found.variance_of_all).value},
        }
        for name, images in self.without_a_model.items():
            rows[name] = values(self.scores(self.measured(alone(images)), 1).metrics)
        return scores | Findings(details={"baselines": rows})

    def scores(self, found: Measured, draws: int) -> Findings:
        pairs = PairSet(found, self.truth, draws)

        def computed() -> Findings:
            scores = Findings()
            for compute in computations(["pairs"], during_training=not self.scorer.thorough):
                scores |= compute(pairs)
            return scores

        return self.processes.first(computed)

    def measured(self, completions: Completions) -> Measured:
        """The figures, computed by all processes together."""
        rows: dict[int, Tensor] = {}
        # Features of conditions lie near those of images, so that their mean is a fair shift of both.
        pairs = FeatureMoments(self.scorer.train.moments.mean.repeat(2)).to(self.processes.metric_device)
        pairs.update(pairs.shift.new_empty(0, len(pairs.shift)))  # there may be no chunk for this process

        def look(index: int) -> None:
            wanted, given = slice(self.count - index * CHUNK), self.contexts(index)
            images = completions(index)
            rows[index] = self.compared(images, self.true_images(index), given)[wanted]
            pairs.update(torch.cat([self.given_features(index, given), self.features(images[0], index)], 1)[wanted])

        self.processes.share(self.count, look)
        columns = len(Measured._fields) - 1
        table = self.processes.gather(rows, self.count, columns, torch.float64).cpu()
        return Measured._make([*table.unbind(1), pairs.compute()])

    def compared(self, images: list[Tensor], truth: Tensor, given: Tensor) -> Tensor:
        """A row for each context, as Measured has them, (256, 8)."""
        many = torch.stack(images).double()
        variance = many.var(0) if len(images) > 1 else torch.zeros_like(many[0])
        # Half the squared difference of two that are drawn alike: the contexts come in random order.
        of_all = 0.5 * (many - many.roll(1, dims=1)).square().mean(0)
        of_each = torch.stack([self.against(each, truth, given) for each in images]).mean(0)
        average = to_uint8(torch.stack([to_unit(each) for each in images]).mean(0))
        spread = torch.stack([part.flatten(1).mean(1) for part in (variance, of_all)], dim=1)
        return torch.cat([of_each, spread, self.against(average, truth, given)], dim=1)

    def against(self, images: Tensor, truth: Tensor, given: Tensor) -> Tensor:
        """PSNR, SSIM and the difference to the condition in grey levels, float64 (256, 3)."""
        psnr, ssim = similarity(truth, images)
        error = self.condition.deviation(to_unit(images), given)
        return torch.stack([psnr, ssim, error.to(psnr)], dim=1)

    def features(self, images: Tensor, index: int) -> Tensor:
        return features_of(self.scorer.extractors.main, images, index * CHUNK, self.scorer.asked.batch_size)

    def given_features(self, index: int, given: Tensor) -> Tensor:
        if index not in self.features_given:
            self.features_given[index] = self.features(to_uint8(self.condition.shown(given)), index)
        return self.features_given[index]

    @property
    def without_a_model(self) -> dict[str, Callable[[int], Tensor]]:
        """i => images in [-1, 1], (256, C, H, W)."""
        return {
            self.condition.baseline: lambda index: self.condition.without_a_model(
                self.contexts(index), self.mean_image
            ),
            self.name_of_nearest: self.nearest_training_images,
        }

    @property
    def name_of_nearest(self) -> str:
        few = len(self.training_rows) < self.dataset.manifest.counts["train"]
        return f"nearest of {len(self.training_rows):,} training images" if few else "nearest training image"

    @cached_property
    def training_rows(self) -> Tensor:
        return shuffled_rows(self.dataset, "train")[:MOST_TRAINING_IMAGES].sort().values

    @cached_property
    def mean_image(self) -> Tensor:
        """Mean of the training images, in [-1, 1], (C, H, W)."""
        blocks = [self.training_images(rows).double().sum(0) for rows in self.training_rows.split(BLOCK)]
        return (torch.stack(blocks).sum(0) / len(self.training_rows)).float()

    def training_images(self, rows: Tensor) -> Tensor:
        return to_unit(torch.from_numpy(self.dataset.images("train")[rows.numpy()]))

    def nearest_training_images(self, index: int) -> Tensor:
        """The training images that are nearest by their conditions, moved to agree with the condition."""
        given = self.contexts(index)
        hidden = self.condition.counted(given)
        least, best = torch.full((len(given),), math.inf), torch.zeros(len(given), dtype=torch.int64)
        for rows in self.training_rows.split(BLOCK):
            told = self.condition.told(self.training_images(rows)).to(self.device)
            distances = squared_distances(given[:, : told.shape[1]].to(self.device), told, hidden).cpu()
            nearest = distances.min(1)
            best = torch.where(nearest.values < least, rows[nearest.indices], best)
            least = torch.minimum(least, nearest.values)
        return self.condition.keep(self.training_images(best), given)


def alone(images: Callable[[int], Tensor]) -> Completions:
    """One completion of each."""
    return lambda index: [to_uint8(images(index))]


def squared_distances(points: Tensor, others: Tensor, hidden: Tensor | None) -> Tensor:
    """(N, L, h, w) and (M, L, h, w) => (N, M), but for a constant of each point; not over the hidden, (N, 1, h, w)."""
    values, others = points.flatten(1), others.flatten(1)
    if hidden is None:
        return others.square().sum(1) - 2 * values @ others.T
    weights = (1 - hidden.to(points)).expand_as(points).flatten(1)
    return weights @ others.square().T - 2 * (weights * values) @ others.T


def values(metrics: dict[str, Estimate]) -> dict[str, float]:
    return {name: estimate.value for name, estimate in metrics.items()}
