"""Samples of what is given, against definitions and against searches by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from genlib.conditions import ConditionConfig
from genlib.conditions.greyscale.config import GreyscaleCondition
from genlib.conditions.low_resolution.config import LowResolutionCondition
from genlib.conditions.masked.config import MaskedCondition
from genlib.config.training import EvaluationConfig
from genlib.data.contexts import context_of, truth_of
from genlib.data.folder import DatasetFolder
from genlib.data.parts import HeldOutPart, whole_test_split
from genlib.evaluation.extractors.classifier.network import random_extractor
from genlib.evaluation.report.table import baselines
from genlib.evaluation.scoring.extractors import Extractors
from genlib.evaluation.scoring.pairs import PairScorer
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.samples import SampleScorer
from genlib.evaluation.statistics.frechet import Moments, frechet_distance
from genlib.pixels.scale import to_uint8, to_unit
from genlib.runtime.randomness import generator_for
from tests.evaluation.guesses import Guesses

CPU = torch.device("cpu")
COUNT = 90
CONDITIONS: dict[str, ConditionConfig] = {
    "low_resolution": LowResolutionCondition(),
    "masked": MaskedCondition(kind="half"),
    "greyscale": GreyscaleCondition(),
}
MakeDataset = Callable[..., DatasetFolder]


@pytest.fixture(params=CONDITIONS)
def scorer(request: pytest.FixtureRequest, make_dataset: MakeDataset, make_stacked: MakeDataset) -> PairScorer:
    """Of digits, or of three of them as a colour image."""
    name = request.param
    dataset = make_stacked() if name == "greyscale" else make_dataset()
    return scorer_of(dataset, CONDITIONS[name])


def scorer_of(dataset: DatasetFolder, config: ConditionConfig, samples: int = 3, binarize: bool = False) -> PairScorer:
    asked = EvaluationConfig(samples=COUNT, features="random")
    inner = SampleScorer(dataset, Extractors(random_extractor(dataset, CPU), ()), asked, Processes(CPU), thorough=False)
    condition = config.build(tuple(dataset.manifest.shape))
    assert condition is not None
    return PairScorer(inner, condition, whole_test_split(dataset), binarize, samples=3)


def true_and_given(scorer: PairScorer) -> tuple[Tensor, Tensor]:
    """uint8 (COUNT, C, H, W), and in [-1, 1]."""
    truth = to_uint8(truth_of(scorer.part, 0, scorer.binarize))[:COUNT]
    return truth, scorer.contexts(0)[:COUNT]


def test_the_truth_itself_gets_the_best_there_is(scorer: PairScorer) -> None:
    perfect = SimpleNamespace(chunk=lambda index, seed, given: scorer.true_images(index))
    found = scorer(perfect)
    values = {name: estimate.value for name, estimate in found.metrics.items()}
    assert values["condition_psnr"] == pytest.approx(58.92, abs=0.01)  # 10 log10(12 * 255^2)
    assert values["condition_ssim"] == pytest.approx(1)
    assert values["condition_diversity"] == 0
    assert values["fd_pairs"] == pytest.approx(0, abs=1e-6)
    assert values["condition_error"] == pytest.approx(found.floor["condition_error"].value)
    assert values["condition_error"] <= 0.25 + 0.05  # what uint8's rounding leaves on average
    assert {estimate.count for estimate in found.metrics.values()} == {COUNT}


def test_validation_images_are_scored_by_what_is_given_of_them(scorer: PairScorer) -> None:
    part = HeldOutPart(scorer.dataset, "validation", torch.arange(3, scorer.dataset.manifest.counts["train"], 7))
    found = PairScorer(scorer.scorer, scorer.condition, part, scorer.binarize, samples=2)
    assert found.count == min(COUNT, len(part.rows)) and found.provenance["split"] == "validation"
    order = torch.randperm(len(part.rows), generator=generator_for("test contexts' order"))
    rows = part.rows[order[: found.count]].numpy()
    truth = torch.from_numpy(scorer.dataset.images("train")[rows])
    assert torch.equal(found.true_images(0)[: found.count], truth)
    perfect = SimpleNamespace(chunk=lambda index, seed, given: found.true_images(index))
    of_truth = found(perfect).metrics
    assert of_truth["condition_ssim"].value == pytest.approx(1)
    assert of_truth["condition_error"].value <= 0.3  # the contexts are of these images


def test_metrics_are_means_over_all_samples_of_each_context(scorer: PairScorer) -> None:
    sampler = Guesses(scorer.condition)
    found = scorer(sampler, baselines=True)
    truth, given = true_and_given(scorer)
    whole = scorer.contexts(0)
    samples = torch.stack([sampler.chunk(0, seed, given=whole) for seed in range(3)]).double()
    errors = (samples[:, :COUNT] - truth).square().mean((2, 3, 4))
    decibels = (10 * torch.log10(255**2 / errors)).mean()
    assert found.metrics["condition_psnr"].value == pytest.approx(decibels.item(), rel=1e-5)
    spread = samples[:, :COUNT].var(0).mean().sqrt()
    assert found.metrics["condition_diversity"].value == pytest.approx(spread.item(), rel=1e-6)
    rows = found.details["baselines"]
    average = samples.mean(0).round()[:COUNT]
    of_average = (10 * torch.log10(255**2 / (average - truth).square().mean((1, 2, 3)))).mean()
    assert rows["average of 3 samples"]["condition_psnr"] == pytest.approx(of_average.item(), rel=1e-2)
    assert rows["average of 3 samples"]["condition_psnr"] > rows["samples"]["condition_psnr"]
    of_all = samples.var(1).mean().sqrt()  # among images, by another estimator
    assert rows["samples of any test images"]["condition_diversity"] == pytest.approx(of_all.item(), rel=0.1)


def test_pairs_are_features_of_what_is_given_beside_those_of_the_image(scorer: PairScorer) -> None:
    sampler = Guesses(scorer.condition)
    found = scorer(sampler).metrics["fd_pairs"].value
    truth, given = true_and_given(scorer)
    look = scorer.scorer.extractors.main
    shown = look(to_uint8(scorer.condition.shown(given))).double()

    def moments(images: Tensor) -> Moments:
        pairs = torch.cat([shown, look(images).double()], dim=1)
        return Moments(pairs.mean(0), pairs.T.cov(), len(pairs))

    images = sampler.chunk(0, 0, given=scorer.contexts(0))[:COUNT]
    assert found == pytest.approx(frechet_distance(moments(truth), moments(images)).item(), rel=1e-4)
    swapped = SimpleNamespace(chunk=lambda index, seed, given: scorer.true_images(index).roll(1, 0))
    assert scorer(swapped).metrics["fd_pairs"].value > 10 * frechet_distance(
        marginal(look, truth), marginal(look, truth.roll(1, 0))
    )


def marginal(look: Callable[[Tensor], Tensor], images: Tensor) -> Moments:
    features = look(images).double()
    return Moments(features.mean(0), features.T.cov(), len(features))


def test_the_nearest_training_image_is_that_of_a_search_by_hand(scorer: PairScorer) -> None:
    given = scorer.contexts(0)[:20]
    found = scorer.nearest_training_images(0)[:20]
    train = to_unit(torch.from_numpy(scorer.dataset.images("train")[:].copy()))
    told = scorer.condition.told(train)
    hidden = scorer.condition.counted(given)
    for row in range(20):
        difference = (told - given[row, : told.shape[1]]).square()
        if hidden is not None:
            difference = difference * (1 - hidden[row])
        best = train[difference.sum((1, 2, 3)).argmin()]
        torch.testing.assert_close(found[row], scorer.condition.keep(best[None], given[row : row + 1])[0])


def test_baselines_stand_beside_the_samples(scorer: PairScorer) -> None:
    rows = scorer(Guesses(scorer.condition), baselines=True).details["baselines"]
    name = scorer.condition.baseline
    assert list(rows) == [
        "samples",
        "average of 3 samples",
        "samples of any test images",
        name,
        "nearest training image",
    ]
    truth, given = true_and_given(scorer)
    guessed = to_uint8(scorer.condition.without_a_model(given, scorer.mean_image))
    errors = (guessed.double() - truth.double()).square().mean((1, 2, 3))
    decibels = (10 * torch.log10(255**2 / errors.clamp(min=1 / 12))).mean()
    assert rows[name]["condition_psnr"] == pytest.approx(decibels.item(), rel=1e-5)
    lines = "\n".join(baselines(rows)).splitlines()
    assert any(line.startswith("nearest training image") and line.endswith("-") for line in lines)


def test_without_a_model_low_resolution_is_made_larger_as_pillow_does_it(make_dataset: MakeDataset) -> None:
    scorer = scorer_of(make_dataset(), CONDITIONS["low_resolution"])
    given = 0.4 * scorer.contexts(0)[:5]  # Pillow clips between its two passes, which these grey values need not
    found = to_uint8(scorer.condition.without_a_model(given, scorer.mean_image))
    for small, large in zip(to_uint8(given), found, strict=True):
        pillows = np.asarray(Image.fromarray(small[0].numpy()).resize((8, 8), Image.Resampling.BICUBIC))
        assert np.abs(pillows.astype(int) - large[0].numpy().astype(int)).max() <= 1


def test_without_a_model_a_hole_has_the_training_images_mean_and_grey_stays_grey(
    make_dataset: MakeDataset, make_stacked: MakeDataset
) -> None:
    scorer = scorer_of(make_dataset(), CONDITIONS["masked"])
    given = scorer.contexts(0)[:5]
    hidden = scorer.condition.counted(given).bool().expand(-1, 1, -1, -1)
    found = scorer.condition.without_a_model(given, scorer.mean_image)
    mean = scorer.dataset.images("train").astype(np.float64).mean(0) / 127.5 - 1
    expected = torch.from_numpy(mean).float().expand(5, -1, -1, -1)
    torch.testing.assert_close(found[hidden], expected[hidden])
    assert torch.equal(found[~hidden], given[:, :1][~hidden])
    grey = scorer_of(make_stacked(), CONDITIONS["greyscale"])
    given = grey.contexts(0)[:5]
    assert torch.equal(grey.condition.without_a_model(given, grey.mean_image), given.expand(-1, 3, -1, -1))


def test_the_truth_of_binarized_data_is_black_or_white(make_dataset: MakeDataset) -> None:
    scorer = scorer_of(make_dataset(), CONDITIONS["masked"], binarize=True)
    assert set(scorer.true_images(0).unique().tolist()) == {0, 255}
    given = context_of(scorer.condition, scorer.part, 0, binarize=True)
    hidden = scorer.condition.counted(to_unit(given)).bool()
    assert torch.equal(given[:, :1][~hidden], scorer.true_images(0)[~hidden])
