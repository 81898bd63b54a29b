"""Evaluation during training: it follows the model and changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genlib.config.load import load_config
from genlib.config.run import RunConfig
from genlib.data.batches import Batches
from genlib.data.folder import DatasetFolder
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation.estimates import values_of
from genlib.evaluation.evaluate import evaluate
from genlib.evaluation.interim import make_evaluate
from genlib.evaluation.report.record import notes_of
from genlib.evaluation.report.table import table
from genlib.models.base import Batch
from genlib.pixels.scale import to_uint8, to_unit
from genlib.runs.folder import RunFolder
from genlib.runtime.randomness import generator_for
from genlib.runtime.signals import Interrupted
from genlib.sampling.load import load_sampler
from genlib.storage.files import read_json
from genlib.training.settle import settle_encoder
from genlib.training.state.checkpoint import write_state
from genlib.training.train import train
from genlib.training.trained_model import load_model
from genlib.training.trainer import Evaluate
from tests.conftest import FILES, TINY

Command = Callable[..., subprocess.CompletedProcess[str]]
SMALL = (
    *("evaluation.features=random", "registry.metric=fd_random", "evaluation.every_samples=80"),
    *("evaluation.samples=80", "evaluation.seeds=1", "evaluation.likelihood_samples=5"),
    *("training.batch_size=16", "training.steps=110", "training.device=cpu", "training.checkpoint_every=40"),
)


def config_of(method: str, *overrides: str) -> RunConfig:
    return load_config(FILES[method], [*TINY[method], *SMALL, *overrides])


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All that a finished run leaves of its model."""
    files = [run / "sampler" / "weights.safetensors"]
    files += [run / "checkpoints" / "step-00000110" / name for name in ("method.safetensors", "average.safetensors")]
    return {f"{file.name} {name}": tensor for file in files for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("method", ["vae", "gan"])
def test_a_run_that_is_evaluated_every_50_steps_has_the_weights_of_one_that_is_not(
    method: str, genlib_home: Path, tmp_path: Path
) -> None:
    assert train(config_of(method), tmp_path / "without") == 0
    assert train(config_of(method, "evaluation.every=50"), tmp_path / "with", make_evaluate) == 0
    plain, evaluated = weights(tmp_path / "without"), weights(tmp_path / "with")
    assert plain.keys() == evaluated.keys()
    assert all(torch.equal(plain[name], evaluated[name]) for name in plain)
    lines = RunFolder(tmp_path / "with").metrics()
    found = {line["step"]: line["evaluation/fd_random"] for line in lines if "evaluation/fd_random" in line}
    assert list(found) == [50, 100, 110]
    assert ("evaluation/elbo" in lines[-1]) == (method == "vae")
    result = RunFolder(tmp_path / "with").result()
    best = min(found, key=found.__getitem__)
    assert result["best"] == {"step": best, "metric": "fd_random", "value": found[best]}
    assert result["last"] == {"step": 110, "metric": "fd_random", "value": found[110]}
    assert [path.name for path in (tmp_path / "with" / "best").glob("step-*")] == [f"step-{best:08d}"]
    assert load_sampler(tmp_path / "with" / "best" / "sampler").info["step"] == best
    assert values_of(evaluate(RunFolder(tmp_path / "with")))["fd_random"] == pytest.approx(found[110], rel=1e-6)
    again = config_of(method, "evaluation.every=50")
    assert train(again, tmp_path / "with", made_up({}, set())) == 0  # there is nothing left to evaluate
    assert RunFolder(tmp_path / "with").result()["best"] == result["best"]


def test_an_evaluation_on_the_way_is_that_of_a_run_which_ends_there(genlib_home: Path, tmp_path: Path) -> None:
    """Batch norm and all. The average moves at every eighth step, so it is the same in both."""
    for steps in (48, 56):
        config = config_of("gan", f"training.steps={steps}", "evaluation.every=48")
        assert train(config, tmp_path / str(steps), make_evaluate) == 0
    short, long = ({line["step"]: line for line in RunFolder(tmp_path / run).metrics()}[48] for run in ("48", "56"))
    assert long["evaluation/fd_random"] == short["evaluation/fd_random"]


def made_up(values: dict[int, float], interrupted: set[int]) -> Callable[..., Evaluate]:
    """Evaluations with these values, in turn; those at `interrupted` positions are cut off."""

    def make(config: RunConfig, dataset: DatasetFolder, device: torch.device) -> Evaluate:
        calls = iter(values)

        def evaluate(*_: object) -> dict[str, float]:
            call = next(calls)
            if call in interrupted:
                raise Interrupted
            return {"fd_random": values[call]}

        return evaluate

    return make


def test_a_best_far_ahead_of_the_last_is_kept_exported_and_mentioned(genlib_home: Path, tmp_path: Path) -> None:
    config = config_of("gan", "evaluation.every=40", "training.keep_checkpoints=1")
    assert train(config, tmp_path / "run", made_up({0: 5.0, 1: 2.0, 2: 7.0}, set())) == 0
    result = RunFolder(tmp_path / "run").result()
    assert (result["best"]["step"], result["best"]["value"]) == (80, 2.0)
    assert (result["last"]["step"], result["last"]["value"]) == (110, 7.0)
    assert result["note"].startswith("the best fd_random during training, 2 at step 80, is far better than the last")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*")] == ["step-00000110"]
    assert load_sampler(tmp_path / "run" / "best" / "sampler").info["step"] == 80
    assert load_sampler(tmp_path / "run" / "sampler").info["step"] == 110


def test_a_stop_inside_an_evaluation_keeps_the_step_and_the_evaluation_is_made_up_for(
    genlib_home: Path, tmp_path: Path
) -> None:
    config = config_of("vae", "evaluation.every=50")
    run = RunFolder(tmp_path / "run")
    assert train(config, run.path, made_up({0: 5.0, 1: 4.0}, {1})) == 128 + 15
    assert (run.result()["status"], run.result()["step"]) == ("preempted", 100)
    assert train(config, run.path, made_up({0: 3.0, 1: 2.0}, {1})) == 128 + 15  # in the last evaluation now
    assert (run.result()["status"], run.result()["step"]) == ("preempted", 110)
    assert train(config, run.path, made_up({0: 2.5}, set())) == 0
    found = [(line["step"], line["evaluation/fd_random"]) for line in run.metrics() if "evaluation/fd_random" in line]
    assert found == [(50, 5.0), (100, 3.0), (110, 2.5)]
    assert run.result()["best"]["step"] == run.result()["last"]["step"] == 110
    train(config_of("vae"), tmp_path / "undisturbed")
    cut, whole = weights(run.path), weights(tmp_path / "undisturbed")
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_going_on_under_another_metric_finds_its_best_anew(genlib_home: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert train(config_of("vae", "evaluation.every=50", "registry.metric=psnr"), run.path, make_evaluate) == 0
    assert run.result()["best"]["metric"] == "psnr"
    assert train(config_of("vae", "evaluation.every=50", "registry.metric=elbo"), run.path, make_evaluate) == 0
    assert (run.result()["best"]["metric"], run.result()["best"]["step"]) == ("elbo", 110)
    lines = [line for line in run.metrics() if line["step"] == 110 and "evaluation/elbo" in line]
    assert len(lines) == 2 and lines[0]["evaluation/elbo"] == lines[1]["evaluation/elbo"]
    assert train(config_of("vae", "evaluation.every=50", "registry.metric=elbo"), run.path, made_up({}, set())) == 0
    with pytest.raises(UserError, match=r"validation_fraction \(0.1 there, None asked\); training leaves that share"):
        train(config_of("vae", "evaluation.every=50"), run.path, make_evaluate)  # it would learn from other rows


def validation_rows(dataset: DatasetFolder, seed: int) -> torch.Tensor:
    """A tenth of the train split, as the first rows of a permutation."""
    count = dataset.manifest.counts["train"]
    order = torch.randperm(count, generator=generator_for("validation rows", seed))
    return order[: round(0.1 * count)].sort().values


def test_images_that_no_batch_holds_choose_the_checkpoint_and_test_images_are_not_looked_at(
    genlib_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("evaluation.every=50", "registry.metric=psnr", "evaluation.every_samples=1000")
    config = config_of("vae", *settings, "evaluation.checkpoint=best", "training.seed=3", "training.resident_gib=0")
    trained_on, batch = [], Batches._batch
    monkeypatch.setattr(
        Batches, "_batch", lambda self, rows, *rest: trained_on.append(rows) or batch(self, rows, *rest)
    )
    read = {name: getattr(DatasetFolder, name) for name in ("images", "labels")}

    def make(*arguments: Any) -> Evaluate:
        with monkeypatch.context() as patched:
            for name, method in read.items():
                patched.setattr(DatasetFolder, name, train_alone(method))
            evaluate = make_evaluate(*arguments)

        def guarded(*call: Any) -> dict[str, float]:
            with monkeypatch.context() as patched:
                for name, method in read.items():
                    patched.setattr(DatasetFolder, name, train_alone(method))
                return evaluate(*call)

        return guarded

    def train_alone(method: Callable[..., Any]) -> Callable[..., Any]:
        def of(folder: DatasetFolder, split: str) -> Any:
            assert split == "train", "the test split was read"
            return method(folder, split)

        return of

    run = RunFolder(tmp_path / "run")
    assert train(config, run.path, make) == 0
    dataset = prepare(config.data)
    rows = validation_rows(dataset, seed=3)
    assert not set(rows.tolist()) & set(torch.cat(trained_on).tolist())
    assert len(set(torch.cat(trained_on).tolist())) == len(dataset.images("train")) - len(rows)

    best = run.result()["best"]
    facts = {"fraction_of_train": 0.1, "left_out_of_training": len(rows), "seed": 3}
    assert best | {"split": "validation", "images": len(rows), **facts} == best
    (checkpoint,) = run.best.glob("step-*")
    model = load_model(run, checkpoint)
    settle_encoder(model, dataset, config.data)
    images = torch.from_numpy(dataset.images("train")[rows.numpy()])
    with torch.no_grad():
        again = to_uint8(model.reconstruct(Batch(to_unit(images), None)))
    errors = (images.double() - again.double()).square().mean((1, 2, 3))
    assert best["value"] == pytest.approx((10 * torch.log10(255**2 / errors)).mean().item(), rel=1e-6)

    evaluation = evaluate(run)
    provenance = evaluation["provenance"]
    assert provenance["best"] == best and provenance["validation"] == facts
    assert provenance["reconstructions"]["split"] == "test" and evaluation["metrics"]["psnr"]["count"] == 359
    assert f"Checkpoint: the best of the training by psnr of {len(rows)} validation images." in table(evaluation)
    assert not any("optimistic" in warning for warning in provenance["warnings"])


def test_a_run_that_is_cut_with_a_validation_part_goes_on_to_the_same_weights(
    genlib_home: Path, tmp_path: Path
) -> None:
    config = config_of("vae", "evaluation.every=50", "registry.metric=elbo")
    assert train(config, tmp_path / "cut", made_up({0: 5.0, 1: 4.0}, {1})) == 128 + 15
    assert train(config, tmp_path / "cut", made_up({0: 3.0, 1: 2.0}, set())) == 0
    assert train(config, tmp_path / "whole", made_up({0: 5.0, 1: 4.0, 2: 3.0}, set())) == 0
    assert train(config_of("vae", "evaluation.every=50"), tmp_path / "all", made_up({0: 5.0, 1: 4.0, 2: 3}, set())) == 0
    cut, whole, of_all_rows = (weights(tmp_path / run) for run in ("cut", "whole", "all"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    assert not all(torch.equal(of_all_rows[name], whole[name]) for name in whole)


def saved_without_the_key(folder: Path, config: RunConfig) -> RunFolder:
    """A run folder as it was before data.validation_fraction existed."""
    run = RunFolder(folder)
    run.make()
    run.start(config, {"folder": "digits", "content_hash": "abab"})
    lines = run.config_file.read_text().splitlines()
    run.config_file.write_text("\n".join(line for line in lines if "validation_fraction" not in line))
    return run


def test_a_run_from_before_there_was_a_validation_part_never_changes_its_rows_in_silence(
    genlib_home: Path, tmp_path: Path
) -> None:
    dataset = {"folder": "digits", "content_hash": "abab"}
    chosen_by_samples = config_of("vae", "evaluation.every=50")
    saved_without_the_key(tmp_path / "samples", chosen_by_samples).start(chosen_by_samples, dataset)
    config = config_of("vae", "evaluation.every=50", "registry.metric=elbo")
    old = saved_without_the_key(tmp_path / "elbo", config)
    assert old.config().held_back == 0
    with pytest.raises(UserError, match=r"data.validation_fraction \(None there, 0.1 asked\); training leaves"):
        old.start(config, dataset)
    whole = config_of("vae", "evaluation.every=50", "registry.metric=elbo", "data.validation_fraction=0")
    old.start(whole, dataset)
    assert old.config().held_back == 0


def test_a_checkpoint_that_test_images_chose_is_told(genlib_home: Path, tmp_path: Path) -> None:
    settings = ("evaluation.every=50", "registry.metric=psnr", "evaluation.checkpoint=best", "training.steps=50")
    config = config_of("vae", *settings, "data.validation_fraction=0")
    assert train(config, tmp_path / "run", make_evaluate) == 0
    run = RunFolder(tmp_path / "run")
    best = run.result()["best"]
    assert best["split"] == "test" and best["images"] == 80
    (note,) = [note for note in notes_of(run, config.evaluation) if "optimistic" in note]
    assert note.startswith("The checkpoint was chosen by psnr with test images, which score it here too")
    run.write_result(best={name: best[name] for name in ("step", "metric", "value")})  # as it was before
    assert any("optimistic" in note for note in notes_of(run, config.evaluation))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["data.validation_fraction=0.001"],
            r"fraction \(0.001\) of the train split \(1438 images\) is 1, ",
        ),
        (
            ["data.validation_fraction=0.99"],
            r"batch_size \(16\) is larger than the train split without the 1424 validation images \(14 images\)",
        ),
    ],
)
def test_a_fraction_that_leaves_too_few_images_is_refused_before_a_run_begins(
    overrides: list[str], message: str, genlib_home: Path, tmp_path: Path
) -> None:
    config = config_of("vae", "evaluation.every=50", "registry.metric=elbo", *overrides)
    with pytest.raises(UserError, match=message):
        train(config, tmp_path / "run", make_evaluate)
    assert not (tmp_path / "run").exists()


def test_a_run_cut_after_its_best_finds_it_again(genlib_home: Path, tmp_path: Path) -> None:
    """The checkpoint of step 80 is newer than the last regular one, of step 40, that training goes on from."""
    config = config_of("gan", "evaluation.every=40", "training.checkpoint_every=1000")
    run = RunFolder(tmp_path / "run")
    assert train(config, run.path, made_up({0: 5.0, 1: 2.0, 2: 7.0}, set())) == 0
    shutil.copytree(run.best / "step-00000080", run.checkpoints / "step-00000080")
    checkpoint = run.checkpoints / "step-00000080"
    there = read_json(checkpoint / "state.json")
    best_is_gone = {"evaluated": 80, "best_step": 40, "best_value": 1.0}
    write_state(checkpoint, there["progress"] | best_is_gone, there["sha256"])
    shutil.rmtree(run.checkpoints / "step-00000110")
    assert train(config, run.path, made_up({0: 3.0}, set())) == 0
    assert (run.result()["best"]["step"], run.result()["best"]["value"]) == (110, 3.0)
    assert [path.name for path in run.best.glob("step-*")] == ["step-00000110"]
    assert load_sampler(run.best / "sampler").info["step"] == 110


def test_the_time_of_an_evaluation_is_no_training_time(
    genlib_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_time, ahead = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: real_time() + ahead[0])

    def make(*_: object) -> Evaluate:
        def evaluate(*_: object) -> dict[str, float]:
            ahead[0] += 1000  # seconds
            return {"fd_random": 1.0}

        return evaluate

    assert train(config_of("vae", "evaluation.every=50"), tmp_path / "run", make) == 0
    assert ahead == [3000] and RunFolder(tmp_path / "run").result()["seconds"] < 500


def test_the_best_can_be_what_is_evaluated(genlib_home: Path, tmp_path: Path, command: Command) -> None:
    settings = [*TINY["gan"], *SMALL, "evaluation.every=40", "evaluation.checkpoint=best"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    done = command("genlib", "train", FILES["gan"], *arguments, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    done = command("genlib", "evaluate", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["provenance"]["checkpoint"] == "best"
    assert evaluation["provenance"]["step"] == RunFolder(tmp_path / "run").result()["best"]["step"]


def test_the_best_without_evaluations_and_too_few_images_are_refused_before_the_first_step(
    genlib_home: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="evaluation.checkpoint is 'best'.*set evaluation.every"):
        config_of("gan", "evaluation.checkpoint=best", "evaluation.every=null")
    few = config_of("gan", "evaluation.every=40", "evaluation.every_samples=40")
    with pytest.raises(UserError, match=r"evaluation.every_samples \(40\) are too few for the 64 random features"):
        train(few, tmp_path / "run", make_evaluate)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
