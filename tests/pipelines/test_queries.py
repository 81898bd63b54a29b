"""MLflow searched for values with odd characters."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from genlib.config.run import RunConfig
from genlib.errors import UserError
from pipelines.registry.versions import existing_model, existing_version
from pipelines.tracking.mirror import experiment_of
from pipelines.tracking.queries import equals, runs_tagged, versions_of

pytestmark = pytest.mark.usefixtures("tracking")
ODD = ["it's", '"quoted"', 'it\'s "both"', "`x`", "50% off", "a\\", "\\'", "a b", "a;b -- c", "x' or 'a' = 'a", "é"]


def test_runs_are_found_by_tags_of_any_characters(config: RunConfig) -> None:
    client = MlflowClient()
    experiment = experiment_of(client, config.registry.model)
    made = {value: client.create_run(experiment, tags={"odd.key": value}).info.run_id for value in ODD}
    for value, run_id in made.items():
        assert [run.info.run_id for run in runs_tagged(client, experiment, {"odd.key": value})] == [run_id]
        assert not list(runs_tagged(client, experiment, {"odd.key": value}, "attributes.status = 'FAILED'"))
    assert not list(runs_tagged(client, experiment, {"odd.key": "'"}))


def test_versions_are_found_of_models_whose_names_have_any_characters(config: RunConfig) -> None:
    client = MlflowClient()
    names = [f"{config.registry.model} {value}" for value in ODD if "\\" not in value]
    for name in names:
        client.create_registered_model(name)
        client.create_model_version(name, "s3://elsewhere")
    assert [len(versions_of(client, name)) for name in names] == [1] * len(names)
    assert existing_version(client, names[0], "1").name == names[0]
    with pytest.raises(UserError, match="no version 'one'; versions: 1"):
        existing_version(client, names[0], "one")


@pytest.mark.parametrize("name", ["", " ", "a/b", 'it\'s "not" there', "%", "\\"])
def test_a_name_that_no_model_has_is_answered_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match="is not in the registry"):
        existing_model(MlflowClient(), name)


def test_what_the_grammar_cannot_hold_is_not_written_in_it() -> None:
    assert equals("name", "it's") == 'name = "it\'s"'
    assert equals("name", 'say "a"') == "name = 'say \"a\"'"
    assert equals("name", 'it\'s "a"') is None and equals("name", "a\\") is None
