"""Evaluation during training: it follows the model and changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genlib.config import RunConfig, load_config
from genlib.data.folder import DatasetFolder
from genlib.errors import UserError
from genlib.evaluation.evaluate import evaluate
from genlib.evaluation.interim import make_evaluate
from genlib.evaluation.measures import values_of
from genlib.files import read_json
from genlib.sampling import load_sampler
from genlib.training.checkpoint import Progress, note_progress
from genlib.training.run_folder import RunFolder
from genlib.training.signals import Interrupted
from genlib.training.train import train
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
    assert train(config_of("vae", "evaluation.every=50"), run.path, make_evaluate) == 0
    assert run.result()["best"]["metric"] == "fd_random"
    assert train(config_of("vae", "evaluation.every=50", "registry.metric=elbo"), run.path, make_evaluate) == 0
    assert (run.result()["best"]["metric"], run.result()["best"]["step"]) == ("elbo", 110)
    lines = [line for line in run.metrics() if line["step"] == 110 and "evaluation/elbo" in line]
    assert len(lines) == 2 and lines[0]["evaluation/elbo"] == lines[1]["evaluation/elbo"]
    assert train(config_of("vae", "evaluation.every=50", "registry.metric=elbo"), run.path, made_up({}, set())) == 0


def test_a_run_cut_after_its_best_finds_it_again(genlib_home: Path, tmp_path: Path) -> None:
    """The checkpoint of step 80 is newer than the last regular one, of step 40, that training goes on from."""
    config = config_of("gan", "evaluation.every=40", "training.checkpoint_every=1000")
    run = RunFolder(tmp_path / "run")
    assert train(config, run.path, made_up({0: 5.0, 1: 2.0, 2: 7.0}, set())) == 0
    shutil.copytree(run.best / "step-00000080", run.checkpoints / "step-00000080")
    checkpoint = run.checkpoints / "step-00000080"
    there = Progress(**read_json(checkpoint / "state.json")["progress"])
    note_progress(checkpoint, replace(there, evaluated=80, best_step=40, best_value=1.0))  # its best is gone
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
