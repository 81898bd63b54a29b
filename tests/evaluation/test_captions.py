"""Whether images show what captions say: as read from real ones, and from ones that are wrong in known ways."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from genlib.conditions.caption.condition import Captions
from genlib.conditions.caption.config import CaptionCondition
from genlib.conditions.caption.words import PLACES, Said, Thing
from genlib.config.training import EvaluationConfig
from genlib.data.config import DataConfig
from genlib.data.contexts import rows_of
from genlib.data.folder import DatasetFolder
from genlib.data.making.prepare import prepare
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.errors import UserError
from genlib.evaluation.evaluate import check_shape
from genlib.evaluation.extractors.classifier.network import random_extractor
from genlib.evaluation.scoring.captions import (
    CaptionScorer,
    bits_of,
    reading_of,
)
from genlib.evaluation.scoring.extractors import Extractors
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reader import cut
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.words import UNSEEN, bigram_perplexity, pairs_of_words, perplexity
from genlib.layers.base import DataSpec
from genlib.methods.vq_vae.config import CodePriorConfig, VQVAEConfig

CPU = torch.device("cpu")
COUNT = 150
FOUR_ABOVE_SEVEN = Said((Thing(4), Thing(7)), relation="above")


@pytest.fixture(scope="module")
def dataset(genlib_home) -> DatasetFolder:
    return prepare(DataConfig(source="digits", image_size=28, channels=1, scenes=2000))


@pytest.fixture(scope="module")
def scorer(dataset: DatasetFolder) -> CaptionScorer:
    asked = EvaluationConfig(samples=COUNT, features="random")
    inner = SampleScorer(dataset, Extractors(random_extractor(dataset, CPU), ()), asked, Processes(CPU), thorough=False)
    condition = CaptionCondition().build((1, 28, 28), dataset.scene_names)
    assert isinstance(condition, Captions)
    return CaptionScorer(inner, condition, whole_test_split(dataset), binarize=False)


def test_validation_images_are_scored_by_their_own_captions(dataset: DatasetFolder, scorer: CaptionScorer) -> None:
    part = HeldOutPart(dataset, "validation", torch.arange(5, 2000, 9))
    found = CaptionScorer(scorer.scorer, scorer.condition, part, binarize=False)
    assert found.count == min(COUNT, len(part.rows)) and found.provenance["split"] == "validation"
    rows = rows_of(part, 0)[: found.count]
    assert set(rows.tolist()) <= set(part.rows.tolist()) and len(set(rows.tolist())) == found.count
    assert torch.equal(found.captions, torch.from_numpy(dataset.captions("train"))[rows])
    assert torch.equal(found.truth(0)[: found.count], torch.from_numpy(dataset.images("train")[rows.numpy()]))
    assert found.floor["caption_classes"].value > 0.9


def sampler(draw) -> SimpleNamespace:
    return SimpleNamespace(chunk=lambda index, seed, given: draw(index), module=SimpleNamespace(codes=None))


def values(scorer: CaptionScorer, draw) -> dict[str, float]:
    return {name: estimate.value for name, estimate in scorer(sampler(draw)).metrics.items()}


def test_the_test_images_are_as_their_captions_say(scorer: CaptionScorer) -> None:
    found = values(scorer, scorer.truth)
    assert found["caption_classes"] > 0.85 and found["caption_places"] > 0.85 and found["caption_looks"] == 1
    assert found == {name: estimate.value for name, estimate in scorer.floor.items()}
    assert scorer.provenance["reader_accuracy"] > 0.95
    assert scorer.provenance["with_places"] == sum(said.has_places for said in scorer.said) > COUNT / 3


def test_mirrored_images_have_things_in_the_wrong_place(scorer: CaptionScorer) -> None:
    """Whole cells change sides, so that what stands in them is what it was."""

    def mirrored(index: int) -> Tensor:
        found = scorer.truth(index)
        inner = found[..., :27].unflatten(3, (3, 9)).flip(3).flatten(3)
        return torch.cat([inner, found[..., 27:]], dim=3)

    found, floor = values(scorer, mirrored), scorer.floor
    assert found["caption_classes"] == pytest.approx(floor["caption_classes"].value)
    assert found["caption_places"] < floor["caption_places"].value - 0.3
    upright = [said for said in scorer.said if said.relation in ("above", "below") or said.cell in (1, 4, 7)]
    share = len(upright) / scorer.provenance["with_places"]
    assert found["caption_places"] == pytest.approx(share * floor["caption_places"].value, abs=0.08)


def test_images_of_other_captions_or_of_nothing_are_wrong(scorer: CaptionScorer) -> None:
    assert values(scorer, lambda index: scorer.truth(index).roll(1, 0))["caption_classes"] < 0.1
    black = values(scorer, lambda index: torch.zeros_like(scorer.truth(index)))
    assert black["caption_classes"] == black["caption_places"] == 0 and "caption_looks" not in black


def test_a_sampler_of_other_words_is_refused(dataset: DatasetFolder) -> None:
    pets = CaptionCondition().build((1, 28, 28), ["cat", "dog"])
    with pytest.raises(UserError, match="the sampler's captions are of cat, dog, but the dataset's of 0, 1, 2"):
        check_shape(SimpleNamespace(image_shape=(1, 28, 28), condition=pets), dataset)


def test_baselines_stand_beside_the_samples(scorer: CaptionScorer) -> None:
    rows = scorer(sampler(scorer.truth), baselines=True).details["baselines"]
    assert rows["samples"] == rows["test images"]
    assert rows["images of other captions"]["caption_classes"] < 0.1
    assert 0.1 < rows["training image of the nearest caption"]["caption_classes"] < 1
    assert 2 < rows["bigrams"]["caption_perplexity"] < 8


@pytest.mark.parametrize(
    ("said", "cells", "classes", "places"),
    [
        (FOUR_ABOVE_SEVEN, {1: 4, 7: 7}, True, True),
        (FOUR_ABOVE_SEVEN, {1: 7, 7: 4}, True, False),
        (FOUR_ABOVE_SEVEN, {1: 4, 8: 7}, True, False),
        (FOUR_ABOVE_SEVEN, {1: 4, 7: 7, 0: 1}, False, False),
        (FOUR_ABOVE_SEVEN, {1: 4}, False, False),
        (Said((Thing(7), Thing(7), Thing(1)), relation="left of"), {3: 7, 4: 7, 5: 1}, True, True),
        (Said((Thing(7), Thing(1), Thing(7)), relation="left of"), {3: 7, 4: 7, 5: 1}, True, False),
        (Said((Thing(7), Thing(7), Thing(1))), {0: 1, 4: 7, 2: 7}, True, None),
        (Said((Thing(3),), cell=PLACES.index("in the middle")), {4: 3}, True, True),
        (Said((Thing(3),), cell=PLACES.index("in the middle")), {3: 3}, True, False),
    ],
)
def test_a_reading_is_of_things_and_of_places(said, cells, classes, places) -> None:
    found = reading_of(said, [cells.get(cell, -1) for cell in range(9)], [0] * 9)
    assert (found.classes, found.places) == (classes, places)


def test_looks_are_of_the_thing_that_is_named() -> None:
    said = Said((Thing(4, ("thin",)), Thing(4, ("thick", "upright"))), relation="above")
    cells, looks = [-1] * 9, [0] * 9
    cells[0] = cells[6] = 4
    looks[0], looks[6] = bits_of(["thin"]), bits_of(["thick", "slanted"])
    assert reading_of(said, cells, looks).looks == (True, True, False)
    looks[0], looks[6] = looks[6], looks[0]
    assert reading_of(said, cells, looks).looks == (False, False, False)


def test_cells_are_cut_row_by_row() -> None:
    scene = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    for cell in range(9):
        row, column = divmod(cell, 3)
        scene[0, 0, 9 * row : 9 * row + 9, 9 * column : 9 * column + 9] = cell + 1
    parts = cut(scene)
    assert parts.shape == (1, 9, 1, 9, 9)
    assert parts.flatten(2).float().mean(2)[0].tolist() == list(range(1, 10))
    assert parts.flatten(2).float().std(2).max() == 0


def test_perplexity_is_the_exponential_of_the_mean_nats(scorer: CaptionScorer) -> None:
    torch.manual_seed(0)
    config = VQVAEConfig(width=4, codes=4, code_size=2, prior=CodePriorConfig(width=8, layers=1, heads=2))
    codes = config.build_sampler(DataSpec((1, 28, 28), condition=scorer.condition)).codes.eval()
    prior = codes.prior
    nats = prior.word_nats(scorer.captions)
    words = (scorer.captions > 0).sum() + COUNT  # with an end each
    expected = math.exp(nats.sum().item() / words)
    found = perplexity(codes, scorer.captions)
    assert found.value == pytest.approx(expected, rel=1e-5) and found.count == COUNT
    assert 0 < found.standard_error < found.value
    with torch.no_grad():
        prior.word_head.weight.zero_()
        prior.word_head.bias.zero_()
    assert perplexity(codes, scorer.captions).value == pytest.approx(len(scorer.condition.vocabulary.words), rel=1e-5)


def test_bigrams_are_counted() -> None:
    train = torch.tensor([[1, 2, 0, 0], [1, 1, 0, 0], [1, 2, 0, 0]])
    test = torch.tensor([[1, 2, 0, 0]])
    row = 3 * UNSEEN  # of the three words
    start, after_one, after_two = (3 + UNSEEN) / (3 + row), (2 + UNSEEN) / (4 + row), (2 + UNSEEN) / (2 + row)
    assert bigram_perplexity(train, test) == pytest.approx((start * after_one * after_two) ** (-1 / 3))


def test_the_nearest_caption_shares_most_pairs_of_words() -> None:
    pairs = pairs_of_words(torch.tensor([[1, 2, 3, 0], [3, 2, 1, 0], [1, 2, 0, 0], [1, 2, 3, 0]]), 4)
    likeness = pairs @ pairs.T
    assert likeness[0].argmax() in (0, 3) and likeness[0, 3] == pytest.approx(1)
    assert likeness[0, 2] > likeness[0, 1] == 0
