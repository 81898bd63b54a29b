"""Models and data of every kind from training to report, as small as they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genlib.config.run import RunConfig
from genlib.data.making.prepare import prepare
from genlib.data.sources import point_set_of
from genlib.errors import UserError
from genlib.evaluation.estimates import values_of
from genlib.evaluation.evaluate import evaluate, evaluate_images
from genlib.evaluation.extractors.classifier import network as classifier
from genlib.evaluation.interim import make_evaluate
from genlib.evaluation.preflight import check_counts
from genlib.pixels.pictures import write_npz
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.storage.files import read_json
from genlib.training.train import train
from tests.family import tiny_config

Run = Callable[..., tuple[RunFolder, dict]]

OF_LIKELIHOOD = {"elbo", "reconstruction", "kl", "log_likelihood", "active_units"}
OF_SAMPLES_IN_THE_PLANE = {
    *("fd_points", "fd_points_infinity", "kd_points", "precision", "recall", "density", "coverage", "authpct"),
    *("nn_distance_train", "nn_distance_held_out", "nearer_to_train", "energy_distance", "log_density"),
}


def altered(name: str, **sections: dict) -> RunConfig:
    """A shipped configuration made tiny, with these settings in the place of its own."""
    content = tiny_config(name).model_dump(mode="json")
    few = {"samples": 100, "seeds": 1, "likelihood_samples": 3, "every_samples": 100}
    for section, settings in ({"evaluation": few} | sections).items():
        content[section] |= settings
    return RunConfig.model_validate(content)


@pytest.fixture
def evaluated(genlib_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run's folder and its evaluation, after four steps with an evaluation at each second."""
    monkeypatch.setitem(classifier.RECIPE, "most_images", 2000)

    def run(name: str, **sections: dict) -> tuple[RunFolder, dict]:
        config = altered(name, **sections)
        evaluation = config.evaluation.model_copy(update={"every": 2})
        folder = RunFolder(tmp_path / name)
        assert train(config.model_copy(update={"evaluation": evaluation}), folder.path, make_evaluate) == 0
        return folder, evaluate(folder)

    return run


def test_an_autoencoder_is_scored_by_its_reconstructions_and_known_to_be_no_generative_model(evaluated: Run) -> None:
    run, evaluation = evaluated("autoencoder_digits")
    assert {"psnr", "ssim", "rfd_classifier"} <= evaluation["metrics"].keys()
    assert not OF_LIKELIHOOD & evaluation["metrics"].keys()
    provenance = evaluation["provenance"]
    assert provenance["likelihood"] is None
    window = "Gaussian, 7 pixels, sigma 1.5, inside the image"
    assert provenance["reconstructions"] == {"split": "test", "count": 359, "ssim_window": window}
    assert any("Nothing ties an autoencoder's latents to N(0, I)" in warning for warning in provenance["warnings"])
    page = run.report_file.read_text()
    assert "Reconstructions" in page and "Interpolations" in page and "Latent traversals" not in page
    assert "evaluation/psnr" in run.metrics()[-1] and "evaluation/elbo" not in run.metrics()[-1]
    _, fitted = evaluated("rae_digits")
    assert not any("Nothing ties" in warning for warning in fitted["provenance"]["warnings"])


def test_a_conditional_vae_is_scored_by_its_labels_too(evaluated: Run) -> None:
    run, evaluation = evaluated("cvae_digits")
    accuracy = evaluation["metrics"]["label_accuracy"]
    assert 0 <= accuracy["value"] < accuracy["floor"] > 0.5 and accuracy["count"] == 100
    assert accuracy["baseline"] is None and evaluation["metrics"]["fd_classifier"]["baseline"] > 0
    assert evaluation["provenance"]["baseline"]["images"] == 1294
    page = run.report_file.read_text()
    assert "Samples of a Gaussian mixture" in page and "<th>baseline</th>" in page
    assert "Samples by label" in page and "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in page and "Latent traversals" in page
    assert "evaluation/label_accuracy" not in run.metrics()[-1]  # the gate does not ask for it


def test_a_gate_on_the_labels_is_followed_during_training(evaluated: Run) -> None:
    run, evaluation = evaluated("cgan_digits", registry={"metric": "label_accuracy"})
    assert run.result()["best"]["metric"] == "label_accuracy"
    assert run.metrics()[-1]["evaluation/label_accuracy"] == pytest.approx(values_of(evaluation)["label_accuracy"])


def test_two_layers_on_black_and_white_images_have_no_traversals_and_say_what_they_saw(evaluated: Run) -> None:
    run, evaluation = evaluated("hierarchical_vae_mnist")
    assert OF_LIKELIHOOD | {"psnr"} <= evaluation["metrics"].keys() and "bits_per_dim" not in evaluation["metrics"]
    assert evaluation["provenance"]["likelihood"]["pixels"].startswith("binary, drawn once for each image")
    assert "kl_per_dimension" not in evaluation["details"]
    page = run.report_file.read_text()
    assert "Log-likelihood by importance samples" in page and "Reconstructions" in page
    assert "Latent traversals" not in page and "KL per latent dimension" not in page
    last = run.metrics()[-1]
    assert {"evaluation/elbo", "evaluation/psnr", "evaluation/log_likelihood"} <= last.keys()


def test_codes_have_reconstructions_and_no_traversals(evaluated: Run) -> None:
    run, evaluation = evaluated("vq_vae_digits")
    assert {"psnr", "ssim", "rfd_classifier"} <= evaluation["metrics"].keys()
    page = run.report_file.read_text()
    assert "Reconstructions" in page and "Latent traversals" not in page


def test_a_vae_of_points_is_held_to_the_exact_log_likelihood(evaluated: Run, tmp_path: Path) -> None:
    run, evaluation = evaluated("vae_pinwheel", data={"points": 600})
    metrics = evaluation["metrics"]
    assert metrics.keys() == OF_SAMPLES_IN_THE_PLANE | OF_LIKELIHOOD
    test = prepare(run.config().data).images("test")
    exact = point_set_of("pinwheel").log_density(test.astype(np.float64))
    assert metrics["log_likelihood"]["floor"] == pytest.approx(exact.mean()) and metrics["elbo"]["floor"] is None
    assert metrics["log_density"]["floor"] == pytest.approx(exact.mean(), abs=0.3)  # of as many as there are samples
    assert evaluation["provenance"]["likelihood"]["unit"] == "nats per point"
    page = run.report_file.read_text()
    assert "Samples in the plane" in page
    assert not any(heading in page for heading in ("Nearest training images", "Interpolations", "Reconstructions"))
    samples = load_sampler(run.sampler).images(100)
    write_npz(tmp_path / "points.npz", samples)
    again = evaluate_images(tmp_path / "points.npz", run.config(), tmp_path / "report")
    assert values_of(again) == pytest.approx({name: metrics[name]["value"] for name in OF_SAMPLES_IN_THE_PLANE})
    assert "Samples in the plane" in (tmp_path / "report" / "report.html").read_text()
    assert read_json(tmp_path / "report" / "evaluation.json") == again


def test_a_gan_of_a_mixture_is_scored_by_its_modes_at_every_evaluation(evaluated: Run) -> None:
    run, evaluation = evaluated("r3gan_ring8", data={"points": 600})
    of_mixture = {"modes", "high_quality"}  # the divergence is infinite where no sample is good
    assert OF_SAMPLES_IN_THE_PLANE | of_mixture <= evaluation["metrics"].keys()
    assert evaluation["metrics"]["modes"]["floor"] == 8
    assert {f"evaluation/{name}" for name in ("energy_distance", *of_mixture)} <= run.metrics()[-1].keys()


def test_a_sampler_of_no_numbers_is_reported_and_has_no_metrics(
    evaluated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genlib.sampling.sampler.to_stored", lambda outputs: outputs.float() * torch.nan)
    run, evaluation = evaluated("r3gan_ring8", data={"points": 600})
    assert evaluation["metrics"] == {}
    assert "100 samples are NaN or infinite: none of their metrics is reported." in evaluation["provenance"]["warnings"]
    assert "Samples in the plane" in run.report_file.read_text()
    assert not any(name.startswith("evaluation/") for name in run.metrics()[-1])


def test_stacked_images_have_three_times_the_features_and_as_many_classes_as_triples(evaluated: Run) -> None:
    run, evaluation = evaluated(
        "pacgan_stacked_mnist", data={"stacked": 400}, evaluation={"samples": 250, "every_samples": 250, "seeds": 1}
    )
    assert evaluation["provenance"]["extractor"]["features"] == 192
    assert {"modes", "fd_classifier", "fd_random"} <= evaluation["metrics"].keys()
    assert 8 < evaluation["metrics"]["modes"]["floor"] <= 250
    assert "class_histogram" not in evaluation["details"]
    config = run.config()
    manifest = prepare(config.data).manifest
    assert config.evaluation.features.dimensions(config.evaluation, manifest) == 192
    few = config.evaluation.model_copy(update={"samples": 192})
    with pytest.raises(UserError, match=r"evaluation.samples \(192\) are too few for the 192 classifier features"):
        check_counts(few, manifest)
