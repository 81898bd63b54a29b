"""The schema that a deployment's overrides are checked by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from genlib.config import load_config
from pipelines.parameters import overrides_schema
from tests.conftest import CONFIGS

FILES = sorted(CONFIGS.glob("*.yaml"))


def value_of(config: BaseModel, key: str) -> Any:
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_stands_in_the_file_may_be_asked_for_and_changes_nothing(file: Path) -> None:
    config = load_config(file)
    schema = overrides_schema(config)
    present = {key: value_of(config, key) for key in schema["properties"]}
    assert list(Draft202012Validator(schema).iter_errors(present)) == []
    assert load_config(file, present) == config


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.steps": "many"},
        {"training.steps": 0},
        {"training.stepz": 10},
        {"training": {"steps": 10}},
        {"method.likelihood": "gauss"},
        {"method.network": {"hidden_sizes": [8]}},
    ],
)
def test_what_a_configuration_would_refuse_the_schema_refuses(overrides: dict[str, Any]) -> None:
    schema = overrides_schema(load_config(CONFIGS / "vae_digits.yaml"))
    assert list(Draft202012Validator(schema).iter_errors(overrides))


def test_fields_are_in_one_order_whoever_keeps_the_schema() -> None:
    properties = overrides_schema(load_config(CONFIGS / "vae_digits.yaml"))["properties"]
    assert sorted(properties, key=lambda key: properties[key]["position"]) == list(properties)
    assert next(iter(properties)) == "training.steps"
