"""The alias `champion` moved by hand and back, and by two processes at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from genlib.config.run import RunConfig
from genlib.errors import UserError
from pipelines.registry import promotion
from pipelines.registry.comparison import compare
from pipelines.registry.promotion import former_champion, promote, rollback
from pipelines.registry.scores import from_tags
from pipelines.registry.versions import history_of
from pipelines.tracking.queries import versions_of
from tests.pipelines.conftest import Registrar

pytestmark = pytest.mark.usefixtures("tracking")


def aliases(config: RunConfig) -> dict[str, str]:
    found = MlflowClient().get_registered_model(config.registry.model).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_promote_and_rollback_move_the_alias_and_keep_the_history(add: Registrar, config: RunConfig) -> None:
    model = config.registry.model
    for value in (1.0, 2.0, 3.0):
        add(value)
    former = "version 1, the former champion, takes the place of version 2 as challenger"
    assert promote(model, "3").startswith(f"{model}: champion is now version 3, was version 1; {former}: ")
    assert aliases(config) == {"champion": "3", "challenger": "1"}
    assert promote(model, "2").startswith(f"{model}: champion is now version 2, was version 3; version 3, the former ")
    assert aliases(config) == {"champion": "2", "challenger": "1"}
    assert rollback(model) == f"{model}: champion is now version 3, back from version 2"
    assert rollback(model, "3") == f"{model}: champion is now version 1, back from version 3"
    with pytest.raises(UserError, match="no former champion"):
        rollback(model, "1")
    history = history_of(MlflowClient().get_registered_model(model))
    steps = [(entry["how"], entry["previous"], entry["version"]) for entry in history]
    assert steps == [
        ("gate", None, "1"),
        ("promote", "1", "3"),
        ("promote", "3", "2"),
        ("rollback", "2", "3"),
        ("rollback", "3", "1"),
    ]
    assert all(entry["by"] and entry["at"] for entry in history)


def test_a_rollback_that_is_repeated_changes_nothing(add: Registrar, config: RunConfig) -> None:
    model = config.registry.model
    for value in (3.0, 2.0, 1.0):
        add(value)
    assert rollback(model) == f"{model}: champion is now version 2, back from version 3"
    again = rollback(model)
    assert again.startswith(f"{model}: champion is version 2 since ") and "nothing was changed" in again
    assert again.endswith(f"To leave it too: genlib rollback {model} --from 2")
    assert rollback(model, "3") == f"{model}: champion is version 2, not 3; nothing was changed."
    assert aliases(config)["champion"] == "2" and len(history_of(MlflowClient().get_registered_model(model))) == 4
    assert rollback(model, "2") == f"{model}: champion is now version 1, back from version 2"
    assert rollback(model, "2") == f"{model}: champion is version 1, not 2; nothing was changed."
    promote(model, "3")
    assert rollback(model) == f"{model}: champion is now version 1, back from version 3"


def test_a_rollback_that_was_cut_off_before_the_alias_moved_is_carried_out_by_the_same_command(
    add: Registrar, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("the network is away")

    model = config.registry.model
    for value in (3.0, 2.0, 1.0):
        add(value)
    with monkeypatch.context() as broken, pytest.raises(ConnectionError):
        broken.setattr(MlflowClient, "set_registered_model_alias", fail)
        rollback(model)
    assert aliases(config)["champion"] == "3"
    assert rollback(model) == f"{model}: champion is now version 2, back from version 3"
    assert "nothing was changed" in rollback(model)


def test_a_rollback_restores_predictions_exactly(add: Registrar, config: RunConfig, sampler_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    from genlib.storage.files import read_json, sha256_of_file, write_json

    def predictions() -> np.ndarray:
        model = mlflow.pyfunc.load_model(f"models:/{config.registry.model}@champion")
        return model.predict(pd.DataFrame({"count": [3]}), params={"seed": 5})

    add(2.0)
    before = predictions()
    weights = sampler_folder / "weights.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(weights).items()}, weights)
    description = read_json(sampler_folder / "config.json")
    description["info"]["weights_sha256"] = sha256_of_file(weights)
    write_json(sampler_folder / "config.json", description)
    add(1.0, log_anew=True)
    assert not np.array_equal(predictions(), before)
    rollback(config.registry.model)
    assert np.array_equal(predictions(), before)


def test_a_change_without_the_lock_is_noticed(
    add: Registrar, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = config.registry.model
    add(1.0), add(2.0), add(3.0)
    move_alias = MlflowClient.set_registered_model_alias

    def overtaken(client: MlflowClient, name: str, alias: str, version: str) -> None:
        move_alias(client, name, alias, version)
        move_alias(client, name, alias, "3")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    with pytest.raises(UserError, match=r"without the lock \(it is version 3 now\)"):
        promote(model, "2")


def test_a_long_history_loses_its_oldest_lines_only(
    add: Registrar, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotion, "HISTORY_LENGTH", 500)
    model = config.registry.model
    add(1.0), add(2.0)
    for turn in range(6):
        promote(model, "2" if turn % 2 == 0 else "1")
    history = history_of(MlflowClient().get_registered_model(model))
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


TWICE = """
import sys
from pathlib import Path
from pipelines.servers import environment
environment.configure()
from mlflow import MlflowClient
from genlib.config.training import RegistryConfig
from pipelines.registry import register
from tests.pipelines.conftest import evaluation_of
model, sampler, first, ready, other = sys.argv[1:]
experiment = MlflowClient().get_experiment_by_name(model).experiment_id
Path(ready).touch()
while not Path(other).exists():
    pass
for value in (float(first), float(first) - 0.25, float(first) - 0.5):
    run = MlflowClient().create_run(experiment)
    register.register(RegistryConfig(model=model), run.info.run_id, Path(sampler), evaluation_of(value), {}, None)
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
    versions = {str(version.version): version for version in versions_of(MlflowClient(), model)}
    values = {name: from_tags(version.tags).metrics["fd_classifier"] for name, version in versions.items()}
    assert sorted(values.values()) == [8.5, 8.6, 8.75, 8.85, 9.0, 9.1, 100.0]
    assert values[aliases(config)["champion"]] == 8.5
    history = history_of(MlflowClient().get_registered_model(model))
    assert [entry["previous"] for entry in history] == [None, *(entry["version"] for entry in history[:-1])]
    promoted = [values[entry["version"]] for entry in history]
    assert promoted == sorted(promoted, reverse=True)
    assert all("gate" in version.tags for version in versions.values())
