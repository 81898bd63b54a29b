from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from genlib.config.run import RunConfig
from pipelines.registry import register as registry
from pipelines.registry.comparison import compare
from pipelines.registry.promotion import promote
from pipelines.registry.register import Registered
from pipelines.serving.packaging import fetch_sampler, requirements
from pipelines.tracking.mirror import experiment_of
from pipelines.tracking.queries import versions_of
from tests.pipelines.conftest import Registrar

pytestmark = pytest.mark.usefixtures("tracking")


def aliases(config: RunConfig) -> dict[str, str]:
    found = MlflowClient().get_registered_model(config.registry.model).aliases
    return {alias: str(version) for alias, version in found.items()}


def test_versions_pass_the_gate_and_their_aliases_follow(add: Registrar, config: RunConfig) -> None:
    assert add(1.0)[:2] == ("1", "champion")
    assert add(1.5)[:2] == ("2", "challenger")
    assert aliases(config) == {"champion": "1", "challenger": "2"}
    assert add(0.5)[:2] == ("3", "champion")
    assert aliases(config) == {"champion": "3", "challenger": "1"}
    broken = add(float("nan"))
    assert broken.alias == "" and broken.reason.endswith("must be a finite number; it gets no alias")
    assert aliases(config) == {"champion": "3", "challenger": "1"}


def test_the_challenger_is_the_best_version_that_is_not_champion(add: Registrar, config: RunConfig) -> None:
    for value in (1.0, 2.0):
        add(value)
    trial = add(9.0)
    assert trial.alias == "" and trial.standing == "without an alias"
    assert trial.reason == (
        "fd_classifier 9 is not better than the champion's 1; it gets no alias, since version 2 stays challenger: "
        "fd_classifier 9 is not better than the challenger's 2"
    )
    assert trial.decision.startswith("**no alias**: fd_classifier 9 is not better")
    better = add(1.5)
    assert better.alias == "challenger" and better.reason.endswith(
        "it takes the place of version 2 as challenger: fd_classifier 1.5 is better than the challenger's 2"
    )
    assert aliases(config) == {"champion": "1", "challenger": "4"}
    new = add(0.5)
    assert new.alias == "champion" and "version 1, the former champion, takes the place of version 4" in new.reason
    assert aliases(config) == {"champion": "5", "challenger": "1"}
    assert "version 5, the former champion, takes the place of version 1" in add(0.25).reason


def test_a_former_champion_that_is_worse_than_the_challenger_gets_no_alias(add: Registrar, config: RunConfig) -> None:
    for value in (1.0, 2.0, 3.0):
        add(value)
    promote(config.registry.model, "3")
    assert aliases(config) == {"champion": "3", "challenger": "1"}
    new = add(0.5)
    assert new.reason.endswith(
        "version 3, the former champion, gets no alias, since version 1 stays challenger: fd_classifier 3 is not "
        "better than the challenger's 1"
    )
    assert aliases(config) == {"champion": "4", "challenger": "1"}


def test_a_challenger_that_was_evaluated_otherwise_is_evaluated_again_or_stays(
    add: Registrar, config: RunConfig
) -> None:
    for value in (1.0, 2.0):
        add(value)
    stays = add(1.5, extractor="other")
    assert stays.alias == "" and aliases(config)["challenger"] == "2"
    assert stays.reason.endswith(
        "the challenger cannot be evaluated again: the test does not want it; it gets no alias, since version 2 stays "
        "challenger: not comparable: the challenger was evaluated with another extractor"
    )
    assert add(1.5, extractor="other", again=1.25).alias == ""  # champion and challenger are 1.25 in its way
    taken = add(1.5, extractor="other", again=1.75)
    assert (
        taken.alias == "champion" and "version 1, the former champion, gets no alias, since version 2" in taken.reason
    )


def test_a_challenger_without_a_finite_value_makes_room(add: Registrar, config: RunConfig) -> None:
    add(1.0), add(float("nan"))
    MlflowClient().set_registered_model_alias(config.registry.model, "challenger", "2")
    assert "as challenger, whose fd_classifier is no finite number" in add(3.0).reason
    assert aliases(config) == {"champion": "1", "challenger": "3"}


def test_a_registration_that_was_cut_off_after_the_alias_moved_leaves_the_same_aliases(
    add: Registrar, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError("the network is away")

    add(1.0), add(2.0)
    run_id = MlflowClient().create_run(experiment_of(MlflowClient(), config.registry.model)).info.run_id
    with monkeypatch.context() as broken, pytest.raises(ConnectionError):
        broken.setattr(registry, "write", fail)
        add(0.5, run_id)
    assert add(0.5, run_id)[:2] == ("3", "champion")
    assert aliases(config) == {"champion": "3", "challenger": "1"}


def test_a_champion_that_was_evaluated_otherwise_is_evaluated_again_and_compared_by_that(
    add: Registrar, config: RunConfig
) -> None:
    add(1.0)
    worse = add(0.9, extractor="other", again=0.8)
    assert worse.alias == "challenger"
    assert worse.reason == (
        "fd_classifier 0.9 is not better than the champion's 0.8; the champion, evaluated with another extractor, was "
        "evaluated again"
    )
    assert add(0.7, extractor="other", again=0.8).alias == "champion"


def test_where_the_champion_cannot_be_evaluated_again_the_reason_says_why(add: Registrar) -> None:
    add(1.0)
    stranger = add(0.1, extractor="other", again="its sampler is gone from MLflow")
    assert stranger.alias == "challenger"
    assert stranger.reason == (
        "not comparable: the champion was evaluated with another extractor; it cannot be evaluated again: its sampler "
        "is gone from MLflow"
    )


def test_a_champion_that_changes_while_it_is_evaluated_again_is_not_the_one_that_counts(
    add: Registrar, config: RunConfig
) -> None:
    add(1.0), add(2.0)
    judged: list[str] = []

    def promote_meanwhile(version: registry.ModelVersion) -> registry.Scores:
        judged.append(str(version.version))
        if len(judged) == 1:
            registry.make_champion(MlflowClient(), MlflowClient().get_registered_model(model), "2", "promote")
        raise registry.NotComparable("the test does not want it")

    model = config.registry.model
    client = MlflowClient()
    stranger = add(0.1, extractor="other")
    registered = registry.pass_gate(client, config.registry, stranger.version, promote_meanwhile)
    assert judged == ["1", "2"]
    assert registered.alias == "challenger" and aliases(config)["champion"] == "2"
    assert client.get_model_version(model, stranger.version).tags["parent_version"] == "2"


def test_the_decision_is_kept_in_tags_and_in_the_description_with_both_tables(
    add: Registrar, config: RunConfig
) -> None:
    add(1.0, std=0.1)
    worse = add(0.9, std=0.1, remarks=("its training collapsed: latents unused",))
    version = MlflowClient().get_model_version(config.registry.model, "2")
    tags = version.tags
    assert tags["gate"] == worse.reason and worse.reason.endswith("; its training collapsed: latents unused")
    assert tags["parent_version"] == "1" and tags["gate.metric"] == "fd_classifier"
    assert float(tags["gate.margin"]) == 0.0 and float(tags["gate.improvement"]) == pytest.approx(0.1)
    assert float(tags["gate.needed"]) == float(tags["gate.spread"]) == pytest.approx(0.1741, rel=1e-3)
    assert json.loads(tags["gate.champion"]) == {"metrics": {"fd_classifier": 1.0}, "std": {"fd_classifier": 0.1}}
    assert worse.decision == version.description
    assert "| fd_classifier | 0.9 | 0.1 | 1 | 0.1 | 0.01 |" in version.description
    assert "improvement 0.1, needed more than 0.1741" in version.description
    assert "champion (version 1)" in version.description
    assert "Its training collapsed: latents unused." in version.description
    first = MlflowClient().get_model_version(config.registry.model, "1")
    assert first.tags["parent_version"] == "none" and "the first version" in first.description


def test_a_model_that_was_deleted_begins_anew(add: Registrar, config: RunConfig) -> None:
    add(1.0), add(2.0)
    MlflowClient().delete_registered_model(config.registry.model)
    assert registry.champion_version(config.registry.model) is None
    assert add(3.0)[:2] == ("1", "champion")


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
    first: Registered = add(1.0, run_id)
    assert add(1.0, run_id) == first
    assert len(versions_of(MlflowClient(), config.registry.model)) == 1


def test_compare_lists_versions_with_metrics_spread_floors_parent_data_and_code(
    add: Registrar, config: RunConfig
) -> None:
    add(0.25, std=0.01), add(0.5)
    heading, _, newest, oldest, *_ = compare(config.registry.model).splitlines()
    assert heading.split()[:3] == ["version", "alias", "fd_classifier"]
    assert newest.split()[:7] == ["2", "challenger", "0.5", "±", "0", "(0.01)", "1"]
    assert oldest.split()[:7] == ["1", "champion", "0.25", "±", "0.01", "(0.01)", "none"]
    assert "abababababab" in oldest and "c0ffeec0ffee (dirty)" in oldest


@pytest.mark.parametrize(
    ("treatment", "alias", "end"),
    [
        ("ignore", "champion", "the first version, fd_classifier 4"),
        (
            "warn",
            "champion",
            "the first version, fd_classifier 4; it does not beat the baseline, a Gaussian mixture: fd_classifier 4 is "
            "not better than the baseline's 0.5",
        ),
        (
            "require",
            "challenger",
            "fd_classifier 4 is not better than the baseline's 0.5, which is required",
        ),
    ],
)
def test_a_version_that_does_not_beat_the_baseline_is_treated_as_the_configuration_says(
    add: Registrar, config: RunConfig, treatment: str, alias: str, end: str
) -> None:
    worse = add(4.0, baseline=0.5, treatment=treatment)
    assert worse.alias == alias and worse.reason == end
    assert end.partition("; ")[0] in worse.decision and "| real-data floor | baseline |" in worse.decision
    heading, _, row, *_ = compare(config.registry.model).splitlines()
    assert " baseline " in heading and " 0.5 (fd_classifier) " in row
    better = add(0.25, baseline=0.5, treatment=treatment)
    assert better.alias == "champion" and "baseline" not in better.reason


def test_a_version_without_a_baseline_does_not_become_champion_where_one_is_required(add: Registrar) -> None:
    assert add(1.0, treatment="warn").reason == "the first version, fd_classifier 1"
    found = add(0.5, treatment="require")
    assert found.alias == "challenger"
    assert found.reason == "its evaluation has no baseline of fd_classifier, which is required"


def test_a_versions_sampler_comes_back_and_one_that_is_gone_is_none(
    add: Registrar, config: RunConfig, sampler_folder: Path, tmp_path: Path
) -> None:
    add(1.0, log_anew=True)
    version = MlflowClient().get_model_version(config.registry.model, "1")
    fetched = fetch_sampler(version, tmp_path / "fetched")
    assert fetched is not None
    for name in ("weights.safetensors", "config.json"):
        assert (fetched / name).read_bytes() == (sampler_folder / name).read_bytes()
    (weights,) = (Path(os.environ["GENLIB_HOME"]) / "mlartifacts" / config.registry.model).rglob("weights.safetensors")
    weights.parent.rename(tmp_path / "gone")
    assert fetch_sampler(version, tmp_path / "again") is None


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
absent = ("genlib.training", "genlib.data", "genlib.evaluation", "pipelines", "prefect")
loaded = [name for name in sys.modules if name.startswith(absent)]
assert not loaded, loaded
np.save(sys.argv[3], images)
"""


def test_the_champion_draws_the_same_images_where_the_project_is_not_there(
    add: Registrar, config: RunConfig, sampler_folder: Path, tmp_path: Path
) -> None:
    import genlib
    from genlib.sampling.load import load_sampler

    add(1.0, log_anew=True)
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


def test_requirements_are_pinned_to_versions_that_an_index_knows() -> None:
    assert all(line.count("==") == 1 and "+" not in line for line in requirements())


def test_a_model_that_images_are_given_to_is_logged_and_loaded(context_sampler: Path, config: RunConfig) -> None:
    import mlflow
    import torch

    from genlib.sampling.load import load_sampler
    from pipelines.serving.packaging import log_sampler

    run = MlflowClient().create_run(experiment_of(MlflowClient(), config.registry.model))
    logged = log_sampler(run.info.run_id, context_sampler)
    given = np.random.default_rng(0).integers(0, 256, (2, 1, 4, 4), dtype=np.uint8)
    found = mlflow.pyfunc.load_model(logged.model_uri).predict(given, {"samples": 2, "seed": 3})
    repeated = torch.from_numpy(given).repeat_interleave(2, 0)
    assert np.array_equal(found, load_sampler(context_sampler).images(4, 3, contexts=repeated).numpy())


def test_a_model_that_captions_are_given_to_is_logged_and_loaded(caption_sampler: Path, config: RunConfig) -> None:
    import mlflow
    import pandas as pd

    from genlib.sampling.load import load_sampler
    from pipelines.serving.packaging import log_sampler

    run = MlflowClient().create_run(experiment_of(MlflowClient(), config.registry.model))
    logged = log_sampler(run.info.run_id, caption_sampler)
    rows = pd.DataFrame({"caption": ["a cat above a dog"]})
    found = mlflow.pyfunc.load_model(logged.model_uri).predict(rows, {"samples": 2, "seed": 3})
    sampler = load_sampler(caption_sampler)
    told = sampler.condition.encode(["a cat above a dog"]).repeat_interleave(2, 0)
    assert np.array_equal(found, sampler.images(2, 3, contexts=told).numpy())
