"""Sample metrics on one process and on shared, over fakes of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from genlib.conditions.low_resolution.config import LowResolutionCondition
from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.parts import whole_test_split
from genlib.errors import UserError
from genlib.evaluation.estimates import Estimate
from genlib.evaluation.extractors.classifier.network import NUM_FEATURES, random_extractor
from genlib.evaluation.features import Extractor, chunk_features
from genlib.evaluation.scoring.baseline import baseline_of
from genlib.evaluation.scoring.extractors import Extractors, build_extractors
from genlib.evaluation.scoring.pairs import PairScorer
from genlib.evaluation.scoring.processes import Processes
from genlib.evaluation.scoring.reference import chunks_of, reference_of, shuffled_rows
from genlib.evaluation.scoring.samples import SampleScorer, SampleScores
from genlib.evaluation.statistics.likelihood import likelihood
from genlib.evaluation.statistics.reconstruction import reconstruction_metrics
from genlib.runtime.signals import Interrupted
from tests.evaluation.guesses import Guesses
from tests.evaluation.linear_gaussian import LinearGaussian, held_out

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]
THOROUGH = {"fd_random_infinity", "authpct", "nn_distance_train", "nn_distance_held_out", "nearer_to_train"}


def noise(index: int) -> Tensor:
    return torch.randint(0, 256, (256, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))


def scorer_of(
    dataset: DatasetFolder, processes: Processes, count: int = 200, batch_size: int = 256, thorough: bool = True
) -> SampleScorer:
    """One that looks at features of a random network only, so that nothing is trained."""
    asked = EvaluationConfig(samples=count, features="random", batch_size=batch_size)
    return SampleScorer(dataset, Extractors(random_extractor(dataset, CPU), ()), asked, processes, thorough)


def values(scores: SampleScores) -> dict[str, float]:
    return {name: estimate.value for name, estimate in scores.metrics.items()}


def rows_of(dataset: DatasetFolder, rows: Tensor) -> Callable[[int], Tensor]:
    return chunks_of(dataset, "test", rows)


def of_held_out(scorer: SampleScorer) -> dict[str, float]:
    """What the test split itself gets."""
    return values(scorer(rows_of(scorer.dataset, scorer.held_out.rows), 300, "reals", held_out=True))


def test_real_images_come_nearer_than_half_of_the_classes_and_these_than_noise(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    dataset = make_dataset()
    scorer = scorer_of(dataset, alone, 300)
    reals = of_held_out(scorer)
    labels = torch.from_numpy(dataset.labels("test"))
    few = rows_of(dataset, (labels < 3).nonzero().flatten())
    of_few_classes = values(scorer_of(dataset, alone, 80)(few, 80, "few classes"))
    of_noise = values(scorer(noise, 300, "noise"))
    assert 0 < reals["fd_random"] < of_few_classes["fd_random"] < of_noise["fd_random"]
    assert reals["kd_random"] < of_few_classes["kd_random"] < of_noise["kd_random"]
    assert reals["recall"] > of_few_classes["recall"] >= of_noise["recall"] == 0
    assert reals["precision"] > 0.8 and of_noise["precision"] == 0
    assert reals["nearer_to_train"] < 0.5  # the last digits are by other writers than the first
    assert reals["nn_distance_held_out"] > 0.5 * reals["nn_distance_train"]  # none is compared with itself


def test_copies_of_the_training_set_have_the_best_distance_and_are_found_out(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    dataset = make_dataset()
    scorer = scorer_of(dataset, alone, 300)
    fresh = of_held_out(scorer)
    copies = values(scorer(chunks_of(dataset, "train", torch.arange(1000)), 1000, "copies"))
    assert copies["fd_random"] == pytest.approx(0, abs=1e-6) and copies["fd_random"] < fresh["fd_random"]
    assert copies["authpct"] < 5 < 50 < fresh["authpct"]
    assert copies["nearer_to_train"] > 0.6


def test_a_generator_that_collapsed_to_one_image_still_gets_finite_numbers(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    black = torch.zeros(256, 1, 8, 8, dtype=torch.uint8)
    metrics = values(scorer_of(make_dataset(), alone)(lambda index: black, 400, "black images"))
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["fd_random"] > 0 and metrics["recall"] == 0


def test_classes_are_counted_by_the_classifier_against_the_datas_shares(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    dataset = make_dataset()
    asked = EvaluationConfig(samples=300)
    extractors = build_extractors(asked, dataset, CPU, alone)
    scorer = SampleScorer(dataset, extractors, asked, alone)
    sizes = {extractor.name: extractor.num_features for extractor in extractors.all}
    assert sizes == {"classifier": NUM_FEATURES, "random": NUM_FEATURES}
    everything = scorer(rows_of(dataset, scorer.held_out.rows), 300, "reals")
    low = (torch.from_numpy(dataset.labels("train")) < 5).nonzero().flatten()
    half = scorer(chunks_of(dataset, "train", low), len(low), "half of the classes")
    assert everything.metrics["modes"].value == 10 and everything.metrics["class_kl"].value < 0.05
    assert half.metrics["class_kl"].value == pytest.approx(math.log(2), abs=0.05)
    histogram = half.details["class_histogram"]
    assert histogram["names"] == list("0123456789") and sum(histogram["samples"]) == pytest.approx(1)
    assert sum(histogram["samples"][:5]) > 0.9
    assert {"fd_classifier", "fd_random", "kd_classifier"} <= everything.metrics.keys()


def test_a_quick_look_gives_the_same_numbers_and_fewer_of_them(make_dataset: MakeDataset, alone: Processes) -> None:
    dataset = make_dataset()
    quick = values(scorer_of(dataset, alone, thorough=False)(noise, 700, "noise"))
    thorough = values(scorer_of(dataset, alone)(noise, 700, "noise"))
    assert (
        quick.keys()
        == {"fd_random", "kd_random", "precision", "recall", "density", "coverage"}
        == thorough.keys() - THOROUGH
    )
    assert quick == {name: thorough[name] for name in quick}


def test_batch_size_changes_nothing(make_dataset: MakeDataset, alone: Processes) -> None:
    dataset = make_dataset()
    large = values(scorer_of(dataset, alone)(noise, 300, "noise"))
    for file in dataset.path.glob("reference-*"):
        file.unlink()
    assert values(scorer_of(dataset, alone, batch_size=7)(noise, 300, "noise")) == pytest.approx(large, rel=1e-5)


def test_a_reference_is_kept_under_the_hash_of_extractor_and_data(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    extractor = random_extractor(dataset, CPU)
    first = reference_of(dataset, "train", extractor, 256, alone)
    features = extractor(torch.from_numpy(dataset.images("train").copy()))
    torch.testing.assert_close(first.moments.mean, features.double().mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.moments.covariance, features.double().T.cov(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.features, features[first.rows], rtol=1e-4, atol=1e-5)
    assert first.moments.count == 1000
    monkeypatch.setattr(Extractor, "forward", lambda *_: pytest.fail("computed twice"))
    again = reference_of(dataset, "train", extractor, 256, alone)
    assert torch.equal(first.moments.covariance, again.moments.covariance)
    assert torch.equal(first.features, again.features)
    extractor.hash = "another"
    with pytest.raises(pytest.fail.Exception, match="computed twice"):
        reference_of(dataset, "train", extractor, 256, alone)


def test_a_large_split_keeps_features_of_a_fair_choice_and_moments_of_all(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genlib.evaluation.scoring.reference.MOST_NUMBERS", 300 * NUM_FEATURES)
    dataset = make_dataset()
    extractor = random_extractor(dataset, CPU)
    found = reference_of(dataset, "train", extractor, 256, alone)
    assert found.moments.count == 1000 and found.features.shape == (300, NUM_FEATURES)
    images = torch.from_numpy(dataset.images("train")[found.rows[:300].numpy()])
    torch.testing.assert_close(found.features, extractor(images), rtol=1e-4, atol=1e-5)


def test_images_that_come_class_by_class_are_scored_by_a_fair_choice(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    dataset = make_dataset()
    scorer = scorer_of(dataset, alone, 300)
    by_class = torch.from_numpy(dataset.labels("train").argsort(kind="stable"))
    found = values(scorer(chunks_of(dataset, "train", by_class), 1000, "sorted"))
    assert scorer.neighbour_count == 300
    assert found["coverage"] > 0.8  # the first 300 are three of the ten classes


def test_features_that_are_not_finite_are_refused_with_the_images_they_are_of(make_dataset: MakeDataset) -> None:
    extractor = random_extractor(make_dataset(), CPU)
    extractor.network.layers[0].weight.data.fill_(float("inf"))
    with pytest.raises(UserError, match="features of images 256 to 299 are not finite"):
        chunk_features(extractor, noise, 1, 300, 256)


def test_shuffled_rows_are_all_rows_and_always_in_the_same_order(make_dataset: MakeDataset) -> None:
    rows = shuffled_rows(make_dataset(), "train")
    assert sorted(rows.tolist()) == list(range(1000)) != rows.tolist()
    assert torch.equal(rows, shuffled_rows(make_dataset(name="again"), "train"))


def test_a_wish_to_stop_is_heard_between_two_chunks(make_dataset: MakeDataset, alone: Processes) -> None:
    scorer = scorer_of(make_dataset(), alone)
    answers = iter([False, False, True])
    alone.stopped = lambda: next(answers)
    seen = []
    with pytest.raises(Interrupted):
        scorer(lambda index: seen.append(index) or noise(index), 1000, "noise")
    assert seen == [0, 1]


def test_a_class_that_the_train_split_lacks_is_counted_too(make_dataset: MakeDataset, alone: Processes) -> None:
    dataset = make_dataset()
    np.save(dataset.path / "train_labels.npy", dataset.labels("train") % 7)
    asked = EvaluationConfig(samples=300)
    scorer = SampleScorer(dataset, build_extractors(asked, dataset, CPU, alone), asked, alone)
    scores = scorer(rows_of(dataset, scorer.held_out.rows), 300, "reals")
    histogram = scores.details["class_histogram"]
    assert len(histogram["names"]) == len(histogram["samples"]) == len(histogram["data"]) == 10
    assert histogram["data"][7:] == [0, 0, 0]


def test_the_distance_at_endless_samples_is_given_from_ten_for_each_feature(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    scorer = scorer_of(make_dataset(), alone)
    assert "fd_random_infinity" in scorer(noise, 640, "noise").metrics
    few = scorer(noise, 639, "noise")
    assert "fd_random_infinity" not in few.metrics and "frechet_by_samples" not in few.details


def test_an_error_of_any_process_is_raised_on_all(tmp_path: Path) -> None:
    multiprocessing.spawn(run_failing_rank, (2, tmp_path), nprocs=2)
    for rank in range(2):
        assert (tmp_path / f"error-{rank}").read_text() == "chunk 1 cannot be read"


def run_failing_rank(rank: int, count: int, folder: Path) -> None:
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), count), rank=rank, world_size=count)
    done = []

    def work(index: int) -> None:
        done.append(index)
        if index == 1:
            raise UserError("chunk 1 cannot be read")

    try:
        Processes(CPU).share(1000, work)
    except UserError as error:
        (folder / f"error-{rank}").write_text(str(error))
    dist.destroy_process_group()


COUNTS = (200, 300, 700)  # chunks: 1, so that some processes have none; 2; 3, unevenly shared


def everything(path: Path, points: Path, processes: Processes) -> list[dict[str, Estimate]]:
    dataset = open_dataset(path)
    scorer = scorer_of(dataset, processes)
    results = [scorer(noise, count, "noise").metrics for count in COUNTS]
    model = LinearGaussian(widening=1.5)
    for count in (200, 300):
        images = torch.from_numpy(dataset.images("test")[:count].copy())
        halved = held_out(torch.nn.functional.avg_pool2d(images.float(), 2).byte())
        results.append(likelihood(model, halved, 20, 0, processes).metrics)
        results.append(reconstruction_metrics(model, halved, processes).metrics)
    condition = LowResolutionCondition().build((1, 8, 8))
    of_condition = PairScorer(scorer_of(dataset, processes, 300), condition, whole_test_split(dataset), False, 2)
    results.append(of_condition(Guesses(condition), baselines=True).metrics)
    asked = EvaluationConfig(samples=300, features="points")
    results += baseline_of(scorer_of(dataset, processes, 300), [0, 1], CPU).sets
    of_points = open_dataset(points)
    scorer = SampleScorer(of_points, build_extractors(asked, of_points, CPU, processes), asked, processes)
    return [*results, scorer(chunks_of(of_points, "train", torch.arange(300)), 300, "points").metrics]


def run_rank(rank: int, count: int, path: Path, points: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), count)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
    processes = Processes(CPU)
    torch.save(everything(path, points, processes), folder / f"results-{rank}.pt")

    def fail() -> None:
        raise UserError("only the first process knows")

    try:
        processes.first(fail)
    except UserError as error:
        (folder / f"error-{rank}").write_text(str(error))
    dist.destroy_process_group()


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_give_what_one_gives_even_with_uneven_and_empty_shares(
    count: int, make_dataset: MakeDataset, make_points: MakeDataset, alone: Processes, tmp_path: Path
) -> None:
    points = make_points().path
    multiprocessing.spawn(run_rank, (count, make_dataset().path, points, tmp_path), nprocs=count)
    expected = everything(make_dataset(name="alone").path, points, alone)
    for rank in range(count):
        found = torch.load(tmp_path / f"results-{rank}.pt", weights_only=False)
        for one, shared in zip(expected, found, strict=True):
            assert shared.keys() == one.keys()
            for name in one:
                assert shared[name].value == pytest.approx(one[name].value, rel=1e-6, abs=1e-9), name
                assert shared[name].count == one[name].count
        assert (tmp_path / f"error-{rank}").read_text() == "only the first process knows"
