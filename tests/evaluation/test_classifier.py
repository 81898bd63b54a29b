"""The classifier whose features judge samples: trained once, privately, and kept by content."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genlib.config.training import EvaluationConfig
from genlib.data.folder import DatasetFolder, open_dataset
from genlib.errors import UserError
from genlib.evaluation.extractors.classifier import network as classifier
from genlib.evaluation.extractors.classifier.network import (
    FeatureNetwork,
    classifier_extractor,
    classifier_folder,
    composed,
    decomposed,
    random_extractor,
    train_classifier,
)
from genlib.evaluation.extractors.imagenet import config as imagenet
from genlib.evaluation.scoring.extractors import build_extractors
from genlib.evaluation.scoring.processes import Processes
from genlib.storage.files import read_json, sha256_of_file, write_json

CPU = torch.device("cpu")
MakeDataset = Callable[..., DatasetFolder]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifier.RECIPE, "most_images", 512)


def test_the_digits_are_learnt_well_and_the_folder_says_how(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(classifier.RECIPE, "most_images", 7000)
    folder = classifier_folder(make_dataset(train=1400, test=360), CPU)
    facts = read_json(folder / "extractor.json")
    assert facts["test_accuracy"] > 0.9
    assert facts["weights_sha256"] == sha256_of_file(folder / "weights.safetensors")
    assert {"seed", "epochs", "learning_rate", "most_images", "seconds"} <= facts.keys()


@pytest.mark.parametrize(("content", "what"), [([], "no object"), ({"seed": 0}, "has no network")])
def test_a_damaged_description_is_named(content: object, what: str, make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    folder = dataset.path / "extractor-1"
    folder.mkdir()
    write_json(folder / "extractor.json", content)
    with pytest.raises(UserError, match=f"extractor.json is damaged .*{what}.* to train it again"):
        classifier_extractor(dataset, folder, CPU)


@pytest.mark.usefixtures("hasty")
def test_it_is_trained_once_and_gives_the_same_features_when_loaded(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    folder = classifier_folder(dataset, CPU)
    monkeypatch.setattr(classifier, "train_classifier", lambda *_: pytest.fail("trained twice"))
    assert classifier_folder(dataset, CPU) == folder
    first, second = (classifier_extractor(dataset, folder, CPU) for _ in range(2))
    images = torch.from_numpy(dataset.images("test")[:10].copy())
    features = first(images)
    assert features.shape == (10, first.num_features) and features.dtype == torch.float32
    assert torch.equal(features, second(images))
    assert first.hash == second.hash == sha256_of_file(folder / "weights.safetensors")


@pytest.mark.usefixtures("hasty")
def test_another_recipe_or_other_data_is_kept_in_another_folder(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    folder = classifier_folder(dataset, CPU)
    monkeypatch.setitem(classifier.RECIPE, "seed", 1)
    assert classifier_folder(dataset, CPU).name != folder.name
    assert classifier_folder(make_dataset(train=900, name="fewer"), CPU).name != folder.name


@pytest.mark.usefixtures("hasty")
def test_training_is_repeatable_and_leaves_the_global_generators_alone(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first = train_classifier(dataset, CPU)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    torch.manual_seed(2)
    second = train_classifier(dataset, CPU)
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], tensor)


@pytest.mark.usefixtures("hasty")
def test_training_looks_at_the_load_before_each_step(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(classifier, "torch_threads", lambda: SimpleNamespace(follow=lambda: looks.append(None)))
    train_classifier(make_dataset(), CPU)
    assert len(looks) == 512 // 128  # images over the batch


@pytest.mark.usefixtures("hasty")
def test_what_a_killed_process_left_is_not_taken_for_finished(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    folder = classifier_folder(dataset, CPU)
    folder.rename(folder.with_name(f".{folder.name}.partial"))
    (folder.with_name(f".{folder.name}.partial") / "extractor.json").unlink()
    assert (classifier_folder(dataset, CPU) / "extractor.json").exists()


@pytest.mark.usefixtures("hasty")
def test_changed_weights_are_refused(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    folder = classifier_folder(dataset, CPU)
    with (folder / "weights.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match="has changed since it was trained; delete"):
        classifier_extractor(dataset, folder, CPU)


def hash_after_training(path: Path) -> str:
    torch.set_num_threads(1)
    classifier.RECIPE["most_images"] = 512
    dataset = open_dataset(path)
    return sha256_of_file(classifier_folder(dataset, CPU) / "weights.safetensors")


def test_two_processes_at_once_share_one_training(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        hashes = pool.map(hash_after_training, [dataset.path] * 2, chunksize=1)
    assert hashes[0] == hashes[1]
    assert len(list(dataset.path.glob("extractor-*"))) == 1
    assert not list(dataset.path.glob(".*.partial"))


def test_an_extractor_stays_frozen_whoever_asks(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    extractor = random_extractor(dataset, CPU)
    images = torch.from_numpy(dataset.images("test")[:16].copy())
    before = extractor(images)
    torch.nn.Sequential(extractor).train()
    assert not any(module.training for module in extractor.modules())
    assert not extractor(images).requires_grad
    assert torch.equal(extractor(images), before)
    with pytest.raises(TypeError, match="uint8"):
        extractor(images.float())


def test_the_random_extractor_is_the_same_every_time(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    hashes = set()
    for seed in range(2):
        torch.manual_seed(seed)
        hashes.add(random_extractor(dataset, CPU).hash)
    assert len(hashes) == 1


def test_unlabelled_data_falls_back_to_random_features_and_says_so(
    make_dataset: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "weights_file", lambda: None)  # without the package they are next
    dataset = make_dataset(labelled=False)
    extractors = build_extractors(EvaluationConfig(features="classifier"), dataset, CPU, alone)
    assert extractors.main.name == "random" and extractors.others == () and extractors.classifier is None
    assert "no labels" in extractors.warnings[0]
    assert not list(dataset.path.glob("extractor-*"))


def test_labels_that_are_unknown_or_all_the_same_count_as_none(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    assert dataset.number_of_classes() == 10
    for label in (-1, 3):
        np.save(dataset.path / "train_labels.npy", np.full(1000, label))
        assert dataset.number_of_classes() == 0


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 9), (1, 28), (3, 32), (3, 100), (1, 128)])
def test_the_network_takes_every_image_size_and_keeps_a_map_of_some_extent(channels: int, size: int) -> None:
    network = FeatureNetwork(channels, size).eval()
    images = torch.zeros(2, channels, size, size, dtype=torch.uint8)
    assert network(images).shape == (2, 64)
    maps = network.layers(images / 127.5 - 1)
    assert 4 <= maps.shape[-1] <= 8


def test_stacked_images_are_features_and_classes_of_each_channel(
    make_stacked: MakeDataset, alone: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(classifier.RECIPE, "most_images", 6000)
    dataset = make_stacked(classes=3)
    assert dataset.number_of_classes() == 27
    extractors = build_extractors(EvaluationConfig(features="classifier"), dataset, CPU, alone)
    classify = extractors.main.classify
    assert classify is not None
    facts = read_json(next(dataset.path.glob("extractor-*")) / "extractor.json")
    assert facts["classes"] == 3 and facts["test_accuracy"] > 0.95  # of single channels
    images = torch.from_numpy(dataset.images("test")[:50].copy())
    features = extractors.main(images)
    assert features.shape == (50, 192) == (50, extractors.main.num_features)
    grey = extractors.main.network.network
    torch.testing.assert_close(features[:, 64:128], grey(images[:, 1:2]), rtol=1e-4, atol=1e-5)
    of_channels = [classify.head(grey(images[:, channel, None])).argmax(1) for channel in range(3)]
    expected = 9 * of_channels[0] + 3 * of_channels[1] + of_channels[2]
    assert torch.equal(classify(features), expected)
    right = (expected == torch.from_numpy(dataset.labels("test")[:50])).double().mean()
    assert right > 0.85  # all three at once


def test_labels_fall_into_those_of_the_channels_and_back() -> None:
    labels = torch.arange(1000)
    parts = decomposed(labels, 10, 3)
    assert parts[314].tolist() == [3, 1, 4] and parts[7].tolist() == [0, 0, 7]
    assert torch.equal(composed(parts, 10), labels)


def test_the_classes_of_stacked_images_without_names_are_a_third_power(make_stacked: MakeDataset) -> None:
    dataset = make_stacked(classes=3)
    labels = dataset.labels("train")
    np.save(dataset.path / "train_labels.npy", np.where(labels == 26, 25, labels))
    unnamed = DatasetFolder(dataset.path, replace(dataset.manifest, label_names=None))
    assert unnamed.number_of_classes() == 27
