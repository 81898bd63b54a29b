from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from genlib.config import RunConfig
from genlib.errors import UserError
from pipelines import registry
from pipelines.packaging import copy_code, modules_needed, requirements
from pipelines.registry import Registered, compare, former_champion, promote, register, rollback
from pipelines.tracking import experiment_of
from tests.pipelines.conftest import evaluation_of

pytestmark = pytest.mark.usefixtures("tracking")
Registrar = Callable[..., Registered]


@pytest.fixture
def add(config: RunConfig, sampler_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Registrar:
    """Register a version with a value of fd_classifier; the model itself is logged once, to save time."""
    client = MlflowClient()
    experiment = experiment_of(client, config.registry.model)
    log_sampler, logged = registry.log_sampler, []

    def log_once(run_id: str, sampler: Path) -> Any:
        logged.append(logged[0] if logged else log_sampler(run_id, sampler))
        return logged[0]

    monkeypatch.setattr(registry, "log_sampler", log_once)

    def add(value: float, run_id: str | None = None, **basis: str) -> Registered:
        run_id = run_id or client.create_run(experiment).info.run_id
        tags = {"dataset_hash": "abab" * 16, "git.commit": "c0ffee" * 7, "git.dirty": "true"}
        return register(config.registry, run_id, sampler_folder, evaluation_of(value, **basis), tags)

    return add


def aliases(config: RunConfig) -> dict[str, str]:
    found = MlflowClient().get_registered_model(config.registry.model).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_versions_pass_the_gate_and_their_aliases_follow(add: Registrar, config: RunConfig) -> None:
    assert add(1.0)[:2] == ("1", "champion")
    assert add(1.5)[:2] == ("2", "challenger")
    assert aliases(config) == {"champion": "1", "challenger": "2"}
    assert add(0.5)[:2] == ("3", "champion")
    assert aliases(config) == {"champion": "3", "challenger": "2"}
    stranger = add(0.1, extractor="other")
    assert stranger.alias == "challenger" and "another extractor" in stranger.reason
    assert add(float("nan")).alias == "challenger"
    assert aliases(config)["champion"] == "3"


def test_a_report_is_given_the_champion_and_its_metrics_once_there_is_one(add: Registrar, config: RunConfig) -> None:
    assert registry.champion_for_report(config.registry.model) is None
    add(1.0)
    add(2.0)
    assert registry.champion_for_report(config.registry.model) == {
        "model": config.registry.model,
        "version": "1",
        "metrics": {"fd_classifier": 1.0},
    }


def test_registering_a_run_twice_makes_one_version(add: Registrar, config: RunConfig) -> None:
    run_id = MlflowClient().create_run(experiment_of(MlflowClient(), config.registry.model)).info.run_id
    assert add(1.0, run_id) == add(1.0, run_id)
    assert len(registry.versions_of(MlflowClient(), config.registry.model)) == 1


def test_promote_and_rollback_move_the_alias_and_keep_the_history(add: Registrar, config: RunConfig) -> None:
    model = config.registry.model
    for value in (1.0, 2.0, 3.0):
        add(value)
    assert promote(model, "3") == f"{model}: champion is now version 3, was version 1"
    assert aliases(config) == {"champion": "3"}
    assert promote(model, "2") == f"{model}: champion is now version 2, was version 3"
    assert rollback(model) == f"{model}: champion is now version 3, back from version 2"
    assert rollback(model) == f"{model}: champion is now version 1, back from version 3"
    with pytest.raises(UserError, match="no former champion"):
        rollback(model)
    history = registry.history_of(MlflowClient().get_registered_model(model))
    steps = [(entry["how"], entry["previous"], entry["version"]) for entry in history]
    assert steps == [
        ("gate", None, "1"),
        ("promote", "1", "3"),
        ("promote", "3", "2"),
        ("rollback", "2", "3"),
        ("rollback", "3", "1"),
    ]
    assert all(entry["by"] and entry["at"] for entry in history)


def test_a_long_history_loses_its_oldest_lines_only(
    add: Registrar, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "HISTORY_LENGTH", 500)
    model = config.registry.model
    add(1.0), add(2.0)
    for turn in range(6):
        promote(model, "2" if turn % 2 == 0 else "1")
    history = registry.history_of(MlflowClient().get_registered_model(model))
    assert 2 <= len(history) < 7
    assert history[-1]["version"] == "1" and history[-2]["version"] == "2"


@pytest.mark.parametrize(
    ("steps", "there", "current", "expected"),
    [
        ("1 2 3", "123", "3", "2"),
        ("1 2 3 <2", "123", "2", "1"),
        ("1 2 3 2", "123", "2", "3"),
        ("1 2 3", "13", "3", "1"),  # version 2 was deleted
        ("1 2", "12", "7", "2"),  # someone moved the alias elsewhere
        ("1", "1", "1", None),
        ("", "", None, None),
    ],
)
def test_the_former_champion_is_found_in_the_history(
    steps: str, there: str, current: str | None, expected: str | None
) -> None:
    history = [
        {"version": step.removeprefix("<"), "how": "rollback" if step.startswith("<") else "gate"}
        for step in steps.split()
    ]
    assert former_champion(history, current, set(there)) == expected


def test_unknown_models_and_versions_are_named_with_those_there_are(add: Registrar, config: RunConfig) -> None:
    add(1.0)
    model = config.registry.model
    for call in (lambda: promote("no-such", "1"), lambda: rollback("no-such"), lambda: compare("no-such")):
        with pytest.raises(UserError, match=f"'no-such' is not in the registry; registered: .*{model}"):
            call()
    with pytest.raises(UserError, match="no version '9'; versions: 1"):
        promote(model, "9")
    with pytest.raises(UserError, match="is the champion already"):
        promote(model, "1")


def test_compare_lists_versions_with_metrics_floors_data_and_code(add: Registrar, config: RunConfig) -> None:
    add(0.25), add(0.5)
    heading, _, newest, oldest, *_ = compare(config.registry.model).splitlines()
    assert heading.split()[:3] == ["version", "alias", "fd_classifier"]
    assert newest.split()[:4] == ["2", "challenger", "0.5", "(0.01)"]
    assert oldest.split()[:4] == ["1", "champion", "0.25", "(0.01)"]
    assert "abababababab" in oldest and "c0ffeec0ffee (dirty)" in oldest


SERVE = """
import sys
import mlflow, numpy as np, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = pd.DataFrame({"count": [3, 2]})
images = model.predict(rows, params={"seed": 5})
assert images.shape == (5, 1, 8, 8) and images.dtype == np.uint8, (images.shape, images.dtype)
assert np.array_equal(images, model.predict(rows, params={"seed": 5}))
assert np.array_equal(images[:4], model.predict({"count": [4]}, params={"seed": 5}))
assert not np.array_equal(images, model.predict(rows))
assert not np.array_equal(images, model.predict(rows, params={"seed": 5, "truncation": 0.1}))
import genlib
assert genlib.__file__ != sys.argv[2], genlib.__file__
loaded = [name for name in sys.modules if name.startswith(("genlib.training", "genlib.data", "pipelines", "prefect"))]
assert not loaded, loaded
np.save(sys.argv[3], images)
"""


def test_the_champion_draws_the_same_images_where_the_project_is_not_there(
    add: Registrar, config: RunConfig, sampler_folder: Path, tmp_path: Path
) -> None:
    import genlib
    from genlib.sampling import load_sampler

    add(1.0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    uri, output = f"models:/{config.registry.model}@champion", elsewhere / "images.npy"
    done = subprocess.run(
        [sys.executable, "-c", SERVE, uri, str(genlib.__file__), str(output)],
        cwd=elsewhere,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(output), load_sampler(sampler_folder).images(5, seed=5).numpy())


def test_a_model_carries_the_modules_it_needs_and_no_training_code(tmp_path: Path) -> None:
    package = copy_code(tmp_path)
    names = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    assert {"__init__.py", "sampling.py", "config/__init__.py", "networks/mlp.py", "networks/dcgan.py"} <= names
    assert not {name for name in names if name.startswith(("training/", "data/", "evaluation/", "cli"))}
    assert len(names) == len(modules_needed("genlib.sampling"))


def test_requirements_are_pinned_to_versions_that_an_index_knows() -> None:
    assert all(line.count("==") == 1 and "+" not in line for line in requirements())


TWICE = """
import sys
from pathlib import Path
from pipelines import environment
environment.configure()
from mlflow import MlflowClient
from genlib.config import RegistryConfig
from pipelines import registry
from tests.pipelines.conftest import evaluation_of
model, sampler, first, ready, other = sys.argv[1:]
experiment = MlflowClient().get_experiment_by_name(model).experiment_id
Path(ready).touch()
while not Path(other).exists():
    pass
for value in (float(first), float(first) - 0.25, float(first) - 0.5):
    run = MlflowClient().create_run(experiment)
    registry.register(RegistryConfig(model=model), run.info.run_id, Path(sampler), evaluation_of(value), {})
"""


def test_two_processes_that_promote_one_model_at_once_leave_one_champion_and_an_unbroken_history(
    add: Registrar, config: RunConfig, sampler_folder: Path, tmp_path: Path
) -> None:
    model = config.registry.model
    add(100.0)
    marks = [str(tmp_path / name) for name in ("one", "two")]
    arguments = [("9.1", *marks), ("9.0", *reversed(marks))]
    both = [
        subprocess.Popen([sys.executable, "-c", TWICE, model, str(sampler_folder), *each], stderr=subprocess.PIPE)
        for each in arguments
    ]
    for process in both:
        _, error = process.communicate(timeout=200)
        assert process.returncode == 0, error.decode()
    versions = {str(version.version): version for version in registry.versions_of(MlflowClient(), model)}
    values = {name: registry.scores_of(version).metrics["fd_classifier"] for name, version in versions.items()}
    assert sorted(values.values()) == [8.5, 8.6, 8.75, 8.85, 9.0, 9.1, 100.0]
    assert values[aliases(config)["champion"]] == 8.5
    history = registry.history_of(MlflowClient().get_registered_model(model))
    assert [entry["previous"] for entry in history] == [None, *(entry["version"] for entry in history[:-1])]
    promoted = [values[entry["version"]] for entry in history]
    assert promoted == sorted(promoted, reverse=True)
    assert all("gate" in version.tags for version in versions.values())
