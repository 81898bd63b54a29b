"""Sample metrics on one process and on shared, over fakes of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

from genlib.data.folder import DatasetFolder, open_dataset
from genlib.errors import UserError
from genlib.evaluation.classifier import random_extractor
from genlib.evaluation.extractors import chunks_of, reference_moments
from genlib.evaluation.features import Extractor, chunk_features
from genlib.evaluation.likelihood import held_out_metrics
from genlib.evaluation.processes import Processes
from genlib.evaluation.samples import SampleMetrics, choose
from tests.evaluation.test_likelihood import Brightness

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]


def noise(index: int) -> Tensor:
    return torch.randint(0, 256, (256, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))


def judge_of(dataset: DatasetFolder, processes: Processes, count: int = 200, batch_size: int = 256) -> SampleMetrics:
    return SampleMetrics(dataset, random_extractor(dataset, CPU), 5, count, batch_size, processes)


def test_real_images_come_nearer_than_half_of_the_classes_and_these_than_noise(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    dataset = make_dataset()
    judge = judge_of(dataset, alone)
    reals = judge(chunks_of(dataset, "test"), 300, "reals")
    labels = torch.from_numpy(dataset.labels("test"))
    few = chunks_of(dataset, "test", (labels < 3).nonzero().flatten())
    of_few_classes = judge_of(dataset, alone, 80)(few, 80, "few classes")
    of_noise = judge(noise, 300, "noise")
    assert 0 < reals["fd_random"] < of_few_classes["fd_random"] < of_noise["fd_random"]
    assert reals["recall"] > of_few_classes["recall"] >= of_noise["recall"] == 0
    assert reals["precision"] > 0.8 and of_noise["precision"] == 0


def test_a_generator_that_collapsed_to_one_image_still_gets_finite_numbers(
    make_dataset: MakeDataset, alone: Processes
) -> None:
    black = torch.zeros(256, 1, 8, 8, dtype=torch.uint8)
    metrics = judge_of(make_dataset(), alone)(lambda index: black, 400, "black images")
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["fd_random"] > 0 and metrics["recall"] == 0


def test_batch_size_changes_nothing(make_dataset: MakeDataset, alone: Processes) -> None:
    dataset = make_dataset()
    large = judge_of(dataset, alone)(noise, 300, "noise")
    (dataset.path / next(dataset.path.glob("moments-*")).name).unlink()
    assert judge_of(dataset, alone, batch_size=7)(noise, 300, "noise") == pytest.approx(large, rel=1e-5)


def test_reference_moments_are_kept_under_the_hash_of_extractor_and_data(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    extractor = random_extractor(dataset, CPU)
    first = reference_moments(dataset, extractor, 256, alone)
    features = extractor(torch.from_numpy(dataset.images("train").copy())).double()
    torch.testing.assert_close(first.mean, features.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.covariance, features.T.cov(), rtol=1e-6, atol=1e-6)
    assert first.count == 1000
    monkeypatch.setattr(Extractor, "forward", lambda *_: pytest.fail("computed twice"))
    again = reference_moments(dataset, extractor, 256, alone)
    assert torch.equal(first.covariance, again.covariance)
    extractor.hash = "another"
    with pytest.raises(pytest.fail.Exception, match="computed twice"):
        reference_moments(dataset, extractor, 256, alone)


def test_features_that_are_not_finite_are_refused_with_the_images_they_are_of(make_dataset: MakeDataset) -> None:
    extractor = random_extractor(make_dataset(), CPU)
    extractor.network.layers[0].weight.data.fill_(float("inf"))
    with pytest.raises(UserError, match="features of images 256 to 299 are not finite"):
        chunk_features(extractor, noise, 1, 300, 256)


def test_chosen_rows_are_different_ones_and_always_the_same(make_dataset: MakeDataset) -> None:
    rows = choose(make_dataset(), "train", 500)
    assert len(set(rows.tolist())) == 500
    assert torch.equal(rows, choose(make_dataset(name="again"), "train", 500))


COUNTS = (200, 300, 700)  # chunks: 1, so that one process has none; 2; 3, unevenly shared


def everything(path: Path, processes: Processes) -> list[object]:
    dataset = open_dataset(path)
    judge = judge_of(dataset, processes)
    method = Brightness()
    results: list[object] = [judge(noise, count, "noise") for count in COUNTS]
    for count in (200, 300):
        results.append(held_out_metrics(method, method.model, chunks_of(dataset, "test"), count, 0, processes))
    return results


def run_rank(rank: int, count: int, path: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), count)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
    processes = Processes(CPU)
    torch.save(everything(path, processes), folder / f"results-{rank}.pt")

    def fail() -> None:
        raise UserError("only the first process knows")

    try:
        processes.first(fail)
    except UserError as error:
        (folder / f"error-{rank}").write_text(str(error))
    dist.destroy_process_group()


def test_two_processes_give_what_one_gives_even_with_uneven_and_empty_shares(
    make_dataset: MakeDataset, alone: Processes, tmp_path: Path
) -> None:
    multiprocessing.spawn(run_rank, (2, make_dataset().path, tmp_path), nprocs=2)
    expected = everything(make_dataset(name="alone").path, alone)
    for rank in range(2):
        found = torch.load(tmp_path / f"results-{rank}.pt", weights_only=False)
        for one, shared in zip(expected, found, strict=True):
            assert shared.keys() == one.keys()
            for name in one:
                assert shared[name] == pytest.approx(one[name], rel=1e-6), name
        assert (tmp_path / f"error-{rank}").read_text() == "only the first process knows"
