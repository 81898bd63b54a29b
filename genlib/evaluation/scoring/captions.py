"""Images drawn for captions: whether they show what the captions say, as a classifier reads them; and how well the
model knows captions themselves.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from itertools import permutations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.conditions.caption.condition import Captions
from genlib.conditions.caption.words import SIDE, Said, places_agree
from genlib.config.metrics import computations
from genlib.data.contexts import context_of, rows_of, truth_of
from genlib.data.making.scenes import EMPTY, looks_of
from genlib.data.parts import HeldOutPart
from genlib.evaluation.estimates import Estimate, Findings
from genlib.evaluation.scoring.reader import Reader, cut
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.words import bigram_perplexity, pairs_of_words
from genlib.models.codes import CodeNetwork
from genlib.pixels.scale import to_uint8
from genlib.sampling.draw import CHUNK
from genlib.sampling.sampler import TrainedSampler

Drawn = Callable[[int], Tensor]  # i => images of the captions 256 * i .., uint8 (256, C, H, W)
BLOCK = 4096  # train captions compared at a time


class Reading(NamedTuple):
    """Agreement of an image with its caption."""

    classes: bool  # it shows the things that are named, and no others
    places: bool | None  # where the caption says; None where it says nothing of places
    looks: tuple[bool, ...]  # of each word for how a thing looks, where the things are there


class CaptionSet(NamedTuple):
    """Images drawn for captions, as they were read: all that a metric of captions is computed from."""

    readings: list[Reading]
    captions: Tensor  # int64 (N, LENGTH)
    prior: CodeNetwork | None  # the model's own of captions


class CaptionScorer:
    """Scores samplers that draw for captions, on those of a part, as many as samples are asked for, by one sample of
    each, however many `samples` an image is to have.

    Every process must make it, and call it; all get the same.
    """

    def __init__(
        self, scorer: SampleScorer, condition: Captions, part: HeldOutPart, binarize: bool, samples: int = 1
    ) -> None:
        self.scorer, self.condition, self.part, self.binarize = scorer, condition, part, binarize
        self.dataset, self.processes, self.seed = scorer.dataset, scorer.processes, scorer.asked.seed
        self.count = min(scorer.asked.samples, len(part.rows))
        self.reader = Reader(self.dataset, scorer.extractors.main.place.device, self.processes)
        rows = torch.cat([rows_of(part, index) for index in range(math.ceil(self.count / CHUNK))])
        self.captions = torch.from_numpy(self.dataset.captions(part.split))[rows[: self.count]]
        self.said = [condition.vocabulary.read(text) for text in condition.decode(self.captions)]
        assert self.dataset.manifest.scenes
        self.looks = self.dataset.manifest.scenes["looks"]

    @property
    def provenance(self) -> dict[str, Any]:
        return {
            "condition": self.condition.name,
            "split": self.part.name,
            "count": self.count,
            "with_places": sum(said is not None and said.has_places for said in self.said),
            "seeds": [self.seed],
            "reader_accuracy": self.reader.facts["test_accuracy"],
        }

    def __call__(self, sampler: TrainedSampler, baselines: bool = False) -> Findings:
        """The metrics of samples, and the floor that images of the test split give; with `baselines` the details have
        these and others beside them.
        """

        def samples(index: int) -> Tensor:
            given = context_of(self.condition, self.part, index, binarize=self.binarize)
            return sampler.chunk(index, self.seed, given=given)

        metrics = self.scores(samples, sampler.module.codes)
        if not baselines:
            return Findings(metrics, floor=self.floor)
        rows = {
            "samples": values(metrics),
            f"{self.part.name} images": values(self.floor),
            "images of other captions": values(self.scores(lambda index: self.truth(index).roll(1, 0))),
            "training image of the nearest caption": values(self.scores(self.of_nearest_caption)),
            "bigrams": {"caption_perplexity": bigram_perplexity(self.train_captions, self.captions)},
        }
        return Findings(metrics, {"baselines": rows}, self.floor)

    def scores(self, drawn: Drawn, prior: CodeNetwork | None = None) -> dict[str, Estimate]:
        """The metrics of images drawn for the captions, and of the captions under the `prior` where there is one."""
        captions = CaptionSet(self.readings(drawn), self.captions, prior)
        found = Findings()
        for compute in computations(["captions"], during_training=not self.scorer.thorough):
            found |= compute(captions)
        return found.metrics

    @cached_property
    def floor(self) -> dict[str, Estimate]:
        return self.scores(self.truth)

    def truth(self, index: int) -> Tensor:
        return to_uint8(truth_of(self.part, index, self.binarize))

    @cached_property
    def train_captions(self) -> Tensor:
        return torch.from_numpy(self.dataset.captions("train"))

    @cached_property
    def nearest(self) -> Tensor:
        """The train caption that shares most pairs of adjacent words with each, int64 (count,)."""
        size = len(self.condition.vocabulary.words)
        ours = pairs_of_words(self.captions, size).T
        most, best = torch.full((self.count,), -1.0), torch.zeros(self.count, dtype=torch.int64)
        for start in range(0, len(self.train_captions), BLOCK):
            shared, rows = (pairs_of_words(self.train_captions[start : start + BLOCK], size) @ ours).max(0)
            best = torch.where(shared > most, start + rows, best)
            most = torch.maximum(most, shared)
        return best

    def of_nearest_caption(self, index: int) -> Tensor:
        rows = self.nearest[index * CHUNK : (index + 1) * CHUNK]
        return torch.from_numpy(self.dataset.images("train")[rows.numpy()])

    def readings(self, drawn: Drawn) -> list[Reading]:
        """Readings of all images, made by all processes together."""
        found: dict[int, Tensor] = {}

        def look(index: int) -> None:
            images = drawn(index)[: self.count - index * CHUNK]
            cells = self.reader(images)
            found[index] = torch.cat([cells, self.looks_in(images, cells)], dim=1)

        self.processes.share(self.count, look)
        table = self.processes.gather(found, self.count, 2 * SIDE**2, torch.int64).cpu()
        return [
            reading_of(said, cells, looks)
            for said, cells, looks in zip(self.said, *(part.tolist() for part in table.chunk(2, dim=1)), strict=True)
            if said is not None
        ]

    def looks_in(self, images: Tensor, cells: Tensor) -> Tensor:
        """The words that fit what stands in a cell, a bit for each, int64 (N, 9)."""
        parts = cut(images)[cells != EMPTY]
        words = looks_of(parts.numpy(), self.looks)
        found = torch.zeros_like(cells)
        found[cells != EMPTY] = torch.tensor([bits_of(of_one) for of_one in words], dtype=torch.int64)
        return found


LOOK_WORDS = ("thin", "thick", "upright", "slanted")


def bits_of(words: list[str]) -> int:
    return sum(1 << LOOK_WORDS.index(word) for word in words)


def reading_of(said: Said, cells: list[int], looks: list[int]) -> Reading:
    """Reading from the labels and looks in the cells; where things are alike, the way round that agrees best counts."""
    wanted = [thing.label for thing in said.things]
    there = [cell for cell, label in enumerate(cells) if label != EMPTY]
    if Counter(wanted) != Counter(cells[cell] for cell in there):
        return Reading(False, False if said.has_places else None, ())
    ways = [way for way in permutations(there) if [cells[cell] for cell in way] == wanted]
    right_looks = [
        tuple(
            bool(looks[cell] & bits_of([word]))
            for thing, cell in zip(said.things, way, strict=True)
            for word in thing.looks
        )
        for way in ways
    ]
    agree = [places_agree(said, way) for way in ways]
    best = max(range(len(ways)), key=lambda number: (agree[number], sum(right_looks[number])))
    return Reading(True, agree[best] if said.has_places else None, right_looks[best])


def values(metrics: dict[str, Estimate]) -> dict[str, float]:
    return {name: estimate.value for name, estimate in metrics.items()}
