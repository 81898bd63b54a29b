"""The schema that a deployment's overrides are checked by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from genlib.choices.fields import choices_of, section_of
from genlib.conditions.masked.config import MaskedCondition
from genlib.config.load import load_config
from genlib.config.reference import sections_below
from genlib.config.run import RunConfig
from pipelines.deploying.parameters import overrides_schema
from tests.conftest import CONFIGS

FILES = sorted(CONFIGS.glob("*.yaml"))


def value_of(config: BaseModel, key: str) -> Any:
    """KeyError for a key of a choice that the configuration has not made."""
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]
    return value


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_stands_in_the_file_may_be_asked_for_and_changes_nothing(file: Path) -> None:
    config = load_config(file)
    schema = overrides_schema(config)
    present = {}
    for key in schema["properties"]:
        with suppress(KeyError, TypeError):
            present[key] = value_of(config, key)
    assert "condition.name" in present and "registry.margin" in present
    assert list(schema["properties"])[: len(present)] == list(present)  # what it has comes first in the form
    assert list(Draft202012Validator(schema).iter_errors(present)) == []
    assert load_config(file, present) == config


def keys_below(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key that can stand below a section, and its default."""
    for name, field in section.model_fields.items():
        inner = (*choices_of(field), *([section_of(field)] if section_of(field) else []))
        if not inner and name != "name":
            yield prefix + name, field.default
        for part in inner:
            yield from keys_below(part, f"{prefix}{name}.")
            if "name" in part.model_fields:
                yield f"{prefix}{name}.name", part.model_fields["name"].default
                yield f"{prefix}{name}", {"name": part.model_fields["name"].default}


@pytest.mark.parametrize("name", ["vae_digits", "inpainting_vae_digits", "r3gan_ring8", "captions_digits"])
def test_every_key_of_the_printed_reference_is_taken_by_every_deployment(name: str) -> None:
    schema = overrides_schema(load_config(CONFIGS / f"{name}.yaml"))
    validator = Draft202012Validator(schema)
    keys = list(keys_below(RunConfig))
    assert {key for key, _ in keys} == set(schema["properties"])
    assert len(keys) > 200
    for key, default in keys:
        if default is not PydanticUndefined:
            assert list(validator.iter_errors({key: default})) == [], key
    named = {
        f"{key}.{name}"
        for key, section in sections_below(RunConfig)
        for name, field in section.model_fields.items()
        if not section_of(field)  # a section stands for its keys
    }
    ends = {".".join(key.split(".")[-2:]) for key, _ in keys}
    assert named <= ends  # of genlib methods


def test_another_choice_comes_with_its_keys() -> None:
    overrides = {"condition.kind": "half", "condition.name": "masked", "evaluation.seeds": 2}
    file = CONFIGS / "inpainting_vae_digits.yaml"
    assert list(Draft202012Validator(overrides_schema(load_config(file))).iter_errors(overrides)) == []
    assert load_config(file, overrides).condition == MaskedCondition(kind="half")


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.steps": "many"},
        {"training.steps": 0},
        {"training.stepz": 10},
        {"training": {"steps": 10}},
        {"method.likelihood": "gauss"},
        {"training.steps": 10**12},
        {"condition.factor": 1},
        {"condition.name": "maskd"},
        {"evaluation.samples": True},
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
