"""A metric that the data cannot give is refused before training, and every other one is found by an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from genlib.config.metrics import gate_metrics
from genlib.config.run import RunConfig
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation.evaluate import evaluate
from genlib.evaluation.extractors.classifier import network as classifier
from genlib.evaluation.extractors.imagenet import config as imagenet
from genlib.evaluation.preflight import check_metric
from genlib.runs.folder import RunFolder
from genlib.storage.files import read_json
from genlib.training.train import train
from tests.conftest import FILES
from tests.data.examples import pictures, png
from tests.family import tiny_config

LABELS = np.arange(100) % 2
KINDS = {  # the labels of the train and of the test split, and how many classes have names
    "labelled": (LABELS, LABELS, 2),
    "unlabelled": (None, None, 0),
    "of one class": (np.zeros_like(LABELS), np.zeros_like(LABELS), 1),
    "of two names and one class": (np.ones_like(LABELS), LABELS, 2),
    "of names without labels": (-np.ones_like(LABELS), -np.ones_like(LABELS), 2),
    "without test labels": (LABELS, -np.ones_like(LABELS), 2),
}
CLASSLESS = {"unlabelled", "of one class", "of two names and one class", "of names without labels"}
OF_A_CLASSIFIER = {"fd_classifier", "kd_classifier", "fd_classifier_infinity", "modes", "class_kl"}


def source(folder: Path, kind: str) -> str:
    """A folder of Parquet files of this kind; a data source."""
    train, test, names = KINDS[kind]
    features = {"image": {"_type": "Image"}}
    if names:
        features["label"] = {"_type": "ClassLabel", "names": list("ab"[:names])}
    folder.mkdir()
    for seed, (split, labels) in enumerate({"train": train, "test": test}.items()):
        columns = {"image": pa.array([{"bytes": png(image), "path": None} for image in pictures(100, seed=seed)])}
        if labels is not None:
            columns["label"] = pa.array(labels)
        notes = {"huggingface": json.dumps({"info": {"features": features}})}
        pq.write_table(pa.table(columns).replace_schema_metadata(notes), folder / f"{split}.parquet")
    return str(folder)


def config_of(name: str, data: dict, metric: str, features: str) -> RunConfig:
    """A tiny run of a shipped configuration on these data; ValidationError where the rules refuse the metric."""
    content = tiny_config(name).model_dump(mode="json")
    content["data"] |= data
    content["evaluation"] |= {"samples": 640, "seeds": 1, "likelihood_samples": 2, "features": features}
    content["registry"]["metric"] = metric
    return RunConfig.model_validate(content)


def sorted_out(name: str, data: dict, features: str, run: Path) -> tuple[set[str], set[str]]:
    """The metrics that the rules let pass and the data are said not to give, and those that are said to be given.

    The latter are those that an evaluation must find; it is made here.
    """
    refused, accepted = set(), {}
    for metric in gate_metrics():
        try:
            config = config_of(name, data, metric, features)
        except ValidationError:
            continue
        try:
            check_metric(config, prepare(config.data))
            accepted[metric] = config
        except UserError as error:
            assert "\n" not in str(error) and metric in str(error)
            refused.add(metric)
    assert train(next(iter(accepted.values())), run, None, check_metric) == 0
    found = evaluate(RunFolder(run))["metrics"].keys()
    assert accepted.keys() <= found, f"accepted and not found: {accepted.keys() - found}"
    assert not refused & found, f"refused and found: {refused & found}"
    return refused, set(accepted)


@pytest.fixture(autouse=True)
def quick(genlib_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(classifier.RECIPE, "most_images", 500)
    monkeypatch.setattr(imagenet, "weights_file", lambda: None)  # the same without the package as with it
    monkeypatch.setattr("genlib.evaluation.evaluate.report_page", lambda *_: "")  # its plots take most of the time


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "of two names and one class"])
def test_metrics_of_images_are_refused_or_found(kind: str, tmp_path: Path) -> None:
    data = {"source": source(tmp_path / "source", kind)}
    refused, accepted = sorted_out("vae_digits", data, "classifier", tmp_path / "run")
    assert refused == (OF_A_CLASSIFIER if kind in CLASSLESS else set())
    assert {"fd_random", "precision", "recall", "density", "coverage", "authpct", "elbo", "psnr"} <= accepted
    assert kind in CLASSLESS or accepted >= OF_A_CLASSIFIER


def test_classes_are_counted_under_other_features_too_or_refused(tmp_path: Path) -> None:
    data = {"source": source(tmp_path / "source", "of one class")}
    refused, accepted = sorted_out("vae_digits", data, "random", tmp_path / "run")
    assert refused == {"modes", "class_kl"} and accepted >= {"fd_random", "kd_random", "fd_random_infinity"}


@pytest.mark.parametrize(("name", "metric"), [("r3gan_ring8", "modes"), ("vae_pinwheel", "log_likelihood")])
def test_metrics_of_points_are_refused_by_the_rules_or_found(name: str, metric: str, tmp_path: Path) -> None:
    refused, accepted = sorted_out(name, {"points": 640}, "points", tmp_path / "run")
    assert not refused and {metric, "energy_distance", "fd_points"} <= accepted


def test_metrics_of_a_condition_are_found_where_there_is_one(tmp_path: Path) -> None:
    data = {"source": source(tmp_path / "source", "unlabelled")}
    refused, accepted = sorted_out("super_resolution_vae_digits", data, "random", tmp_path / "run")
    assert refused == {"modes", "class_kl"}
    assert {"condition_psnr", "condition_ssim", "condition_error", "condition_diversity", "fd_pairs"} <= accepted


def test_a_conditional_gan_needs_no_test_labels(tmp_path: Path) -> None:
    data = {"source": source(tmp_path / "source", "without test labels")}
    refused, accepted = sorted_out("cgan_digits", data, "classifier", tmp_path / "run")
    assert not refused and "label_accuracy" in accepted


MESSAGES = [
    ("vae_digits", "unlabelled", "fd_classifier", "has no labels; set evaluation.features=random and registry.metric"),
    ("vae_digits", "of one class", "modes", r"all labelled train images of .* are of one class \(a\); set evaluation"),
    ("vae_digits", "of two names and one class", "class_kl", r"are of one class \(b\)"),
    ("vae_digits", "of names without labels", "kd_classifier", "the train split of .* has no labels"),
    ("cvae_digits", "without test labels", "elbo", "needs labels of test images.*data.test_split=null"),
    ("cvae_digits", "of one class", "label_accuracy", "needs a classifier of two classes or more"),
]


@pytest.mark.parametrize(("name", "kind", "metric", "message"), MESSAGES)
def test_a_metric_is_refused_before_any_training_with_the_reason_and_the_remedy(
    name: str, kind: str, metric: str, message: str, tmp_path: Path
) -> None:
    config = config_of(name, {"source": source(tmp_path / "source", kind)}, metric, "classifier")
    with pytest.raises(UserError, match=message) as caught:
        train(config, tmp_path / "run", None, check_metric)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_train_command_checks_the_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from genlib.cli import main

    data = source(tmp_path / "source", "unlabelled")
    settings = [f"data.source={data}", "data.image_size=8", "training.batch_size=16", "evaluation.every=null"]
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    assert main(["train", str(FILES["vae"]), *overrides, "--run-dir", str(tmp_path / "run")]) == 2
    assert "has no labels; set evaluation.features=random" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_distances_of_other_features_are_the_remedy_where_these_are_asked_for(tmp_path: Path) -> None:
    config = config_of("vae_digits", {"source": source(tmp_path / "source", "unlabelled")}, "class_kl", "random")
    with pytest.raises(UserError, match="set registry.metric=fd_random.$"):
        check_metric(config, prepare(config.data))


def test_stacked_images_are_as_many_classes_as_their_triples(tmp_path: Path) -> None:
    data = {"source": source(tmp_path / "source", "labelled"), "stacked": 64}
    config = config_of("pacgan_stacked_mnist", data, "modes", "classifier")
    dataset = prepare(config.data)
    check_metric(config, dataset)
    assert dataset.number_of_classes() == 8
    assert read_json(dataset.path / "manifest.json")["label_names"][1] == "aab"
