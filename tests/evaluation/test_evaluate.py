"""From a trained run to its evaluation.json, as a user calls it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from genlib.cli import main
from genlib.errors import UserError
from genlib.evaluation.estimates import Estimate, Findings, values_of
from genlib.evaluation.evaluate import evaluate
from genlib.evaluation.statistics import likelihood as statistics
from genlib.runs.folder import RunFolder
from genlib.storage.files import read_json, write_json
from tests.conftest import FILES, PROJECT, TINY

SAMPLE_METRICS = {
    *("fd_random", "kd_random", "precision", "recall", "density", "coverage", "authpct"),
    *("nn_distance_train", "nn_distance_held_out", "nearer_to_train", "modes", "class_kl"),
}
OF_A_VAE = {
    *("elbo", "reconstruction", "kl", "log_likelihood", "bits_per_dim", "active_units"),
    *("psnr", "ssim", "rfd_random"),
}
SMALL = (
    *("evaluation.features=random", "registry.metric=fd_random", "evaluation.samples=600"),
    "evaluation.likelihood_samples=20",
    *("training.device=cpu", "training.batch_size=16", "training.steps=10"),
)


@pytest.fixture(scope="module")
def trained(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder of a tiny VAE, and one of a tiny GAN."""
    runs = {}
    for method, file in FILES.items():
        runs[method] = tmp_path_factory.mktemp("runs") / method
        settings = [part for setting in (*TINY[method], *SMALL) for part in ("--set", setting)]
        genlib("train", str(file), *settings, "--run-dir", str(runs[method]))
    return runs


def genlib(*arguments: str, launcher: tuple[str, ...] = ()) -> None:
    subprocess.run([sys.executable, *launcher, "-m", "genlib", *arguments], check=True, cwd=PROJECT, timeout=240)


@pytest.fixture
def vae(trained: dict[str, Path], tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained["vae"], tmp_path / "vae"))


@pytest.fixture
def gan(trained: dict[str, Path], tmp_path: Path) -> RunFolder:
    return RunFolder(shutil.copytree(trained["gan"], tmp_path / "gan"))


def test_a_vae_is_scored_by_its_samples_and_its_likelihood_with_provenance(vae: RunFolder) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    write_json(vae.champion_file, {"model": "vae-digits", "version": "7", "metrics": {"fd_random": 0.001}})
    evaluation = evaluate(vae)
    assert torch.equal(torch.get_rng_state(), before)
    assert read_json(vae.evaluation_file) == evaluation
    metrics, provenance = evaluation["metrics"], evaluation["provenance"]
    assert metrics.keys() == SAMPLE_METRICS | OF_A_VAE
    for name, entry in metrics.items():
        assert (entry["std"] is None) == (name in OF_A_VAE) == (entry["floor"] is None), name
    assert metrics["fd_random"]["floor"] < metrics["fd_random"]["value"]
    assert metrics["fd_random"]["count"] == 600 and metrics["elbo"]["count"] == 359
    assert metrics["elbo"]["standard_error"] > 0
    assert provenance["definitions"] == {"authpct": 2, "psnr": 2, "ssim": 2}
    assert metrics["elbo"]["value"] <= metrics["log_likelihood"]["value"]
    sampler = read_json(vae.sampler / "config.json")["info"]
    assert provenance["weights_sha256"] == sampler["weights_sha256"]
    assert provenance["dataset_hash"] == read_json(vae.dataset_file)["content_hash"]
    assert (provenance["step"], provenance["samples"]) == (10, {"count": 600, "seeds": [0, 1, 2]})
    assert provenance["reference"] == {"split": "train", "count": 1438}
    assert provenance["ema_half_life"] == vae.config().training.ema_half_life
    assert provenance["likelihood"]["pixels"] == "a density, dequantized"
    assert provenance["likelihood"]["dequantization"] == "uniform, one step of uint8 wide"
    assert len(provenance["extractor"]["hash"]) == 64 and provenance["resize"] == "none"
    assert {"torch", "torchmetrics", "scipy"} <= provenance["versions"].keys() and "git.commit" in provenance
    page = vae.report_file.read_text()
    for content in ("fd_random", "vae-digits", "version 7", "data:image/png;base64", "Latent traversals"):
        assert content in page
    again = evaluate(vae)
    assert again["metrics"] == metrics


def test_two_processes_evaluate_a_gan_as_one_does(gan: RunFolder) -> None:
    alone = evaluate(gan)
    assert alone["metrics"].keys() == SAMPLE_METRICS
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    genlib("evaluate", str(gan.path), launcher=launcher)
    together = read_json(gan.evaluation_file)
    assert together["provenance"]["processes"] == 2
    for name, entry in alone["metrics"].items():
        assert together["metrics"][name] == pytest.approx(entry, rel=1e-5, abs=1e-9), name


def test_what_is_not_finite_is_left_out_and_named(vae: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = float("nan")
    made_up = Findings({"elbo": Estimate(nan, 9, nan), "kl": Estimate(1.0, 9, 0.1)}, {"kl_per_dimension": [nan] * 4})
    monkeypatch.setattr(statistics, "likelihood", lambda *_: made_up)
    evaluation = evaluate(vae)
    assert "elbo" not in values_of(evaluation) and values_of(evaluation)["kl"] == 1
    assert evaluation["details"]["kl_per_dimension"] == [None] * 4
    assert "elbo is nan, and is left out." in evaluation["provenance"]["warnings"]


def test_a_best_that_was_left_behind_is_mentioned_where_the_last_is_scored(gan: RunFolder) -> None:
    gan.write_result(**gan.result(), note="the best fd_random lies far ahead.")
    assert "The best fd_random lies far ahead." in evaluate(gan)["provenance"]["warnings"]
    assert "The best fd_random lies far ahead." in gan.report_file.read_text()


def test_images_on_disk_are_scored_as_the_sampler_that_made_them_is(vae: RunFolder, tmp_path: Path) -> None:
    evaluation = evaluate(vae)
    genlib("sample", str(vae.path), "--count", "600", "--seed", "0", "--output", str(tmp_path / "images.npz"))
    arguments = ("--data", str(vae.config_file), "--set", "evaluation.seeds=1", "--output", str(tmp_path / "report"))
    genlib("evaluate", "--images", str(tmp_path / "images.npz"), *arguments)
    found = read_json(tmp_path / "report" / "evaluation.json")
    assert found["metrics"].keys() == SAMPLE_METRICS
    assert found["provenance"]["samples"]["count"] == 600
    assert found["metrics"]["fd_random"]["std"] is None
    floor = {name: entry["floor"] for name, entry in evaluation["metrics"].items() if name in SAMPLE_METRICS}
    assert {name: entry["floor"] for name, entry in found["metrics"].items()} == floor
    spread = 5 * evaluation["metrics"]["fd_random"]["std"]
    assert values_of(found)["fd_random"] == pytest.approx(values_of(evaluation)["fd_random"], abs=spread)
    assert "Samples" in (tmp_path / "report" / "report.html").read_text()


def test_the_last_word_is_of_the_seeds_that_were_asked_for(gan: RunFolder) -> None:
    one = gan.config_file.read_text().replace("seeds: 3", "seeds: 1")
    singles = []
    for seed in range(3):
        gan.config_file.write_text(one.replace("  seed: 0\n  seeds", f"  seed: {seed}\n  seeds"))
        singles.append(values_of(evaluate(gan))["coverage"])
    gan.config_file.write_text(one.replace("seeds: 1", "seeds: 3"))
    together = evaluate(gan)["metrics"]["coverage"]
    assert together["value"] == pytest.approx(sum(singles) / 3)
    assert together["std"] == pytest.approx(torch.tensor(singles, dtype=torch.float64).std().item(), abs=1e-9)


def test_a_signal_ends_an_evaluation_with_its_own_exit_code_and_nothing_written(
    vae: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(statistics, "likelihood", lambda *_: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(60))
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="143"):
            main(["evaluate", str(vae.path)])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert capsys.readouterr().err.strip().endswith("interrupted: nothing was written; evaluate again.")
    assert not vae.evaluation_file.exists() and not vae.report_file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "evaluate takes RUN_DIR, or --images DIR or --sampler DIR with --data CONFIG"),
        (["runs/first", "--sampler", "sampler"], "evaluate takes RUN_DIR, or --images DIR or --sampler DIR"),
        (["--images", "pictures"], "--images needs --data CONFIG"),
        (["--sampler", "sampler"], "--sampler needs --data CONFIG"),
        (["runs/first", "--data", "a.yaml"], "--data, --set and --output go with --images"),
        (["runs/first"], "is no run folder"),
    ],
)
def test_arguments_that_make_no_evaluation_get_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_images_of_no_use_get_one_line_before_any_work(
    genlib_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def complaint(*settings: str) -> str:
        overrides = [part for setting in settings for part in ("--set", setting)]
        assert main(["evaluate", "--images", str(tmp_path / "images"), "--data", str(FILES["vae"]), *overrides]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert "images" in complaint()
    (tmp_path / "images").mkdir()
    assert "no images" in complaint()
    (tmp_path / "taken").write_text("")
    arguments = [
        "evaluate",
        "--images",
        str(tmp_path),
        "--data",
        str(FILES["vae"]),
        "--output",
        str(tmp_path / "taken"),
    ]
    assert main(arguments) == 2
    assert "taken cannot be made a folder (File exists); name another." in capsys.readouterr().err
    for number in range(50):
        Image.new("L", (8, 8), number).save(tmp_path / "images" / f"{number}.png")
    assert "images in images (50) are too few for the 64 classifier features: a perfect model's" in complaint()
    assert "evaluation.neighbours (60) must be below the number of images (50" in complaint("evaluation.neighbours=60")
    Image.new("L", (9, 8)).save(tmp_path / "images" / "50.png")
    assert "50.png" in complaint() and "(1, 8, 9)" in complaint()


def test_what_does_not_fit_together_is_refused_before_any_work(vae: RunFolder) -> None:
    settings = vae.config_file.read_text()
    vae.config_file.write_text(settings.replace("neighbours: 5", "neighbours: 500"))
    with pytest.raises(UserError, match=r"evaluation.neighbours \(500\) must be below the number of images \(\d+"):
        evaluate(vae)
    description = read_json(vae.sampler / "config.json")
    description["info"]["dataset_hash"] = "0" * 64
    write_json(vae.sampler / "config.json", description)
    with pytest.raises(UserError, match="was trained on the dataset 000000000000, but"):
        evaluate(vae)
