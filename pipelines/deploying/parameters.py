"""The JSON schema of a deployment's overrides, by which Prefect's server and its form check them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from genlib.choices.choice import Choice
from genlib.choices.fields import choices_of, section_of
from genlib.config.run import RunConfig

CHOICE = {"type": "object", "required": ["name"], "description": "Another choice, with its keys"}
FIRST = ("training", "method", "data", "evaluation")  # of the form: what is changed most
ABSENT = object()


def overrides_schema(config: RunConfig) -> dict[str, Any]:
    """Every key that a configuration can have by its dotted name, with its type, limits, meaning and value; no other.

    Keys that the configuration has now come first. After them come those of choices that it has not made, such as of
    another network: they count together with the choice, {"method.network.name": "dcgan", "method.network.width": 32}.
    """
    content = config.model_dump(mode="json")
    keys = {key: with_value(key, schema, content) for key, schema in all_keys().items()}
    in_order = sorted(keys, key=lambda key: value_at(content, key) is ABSENT)  # stable
    return {
        "title": "overrides",
        "description": 'Values that differ from the file, by dotted key: {"training.steps": 2000, "training.seed": 1}',
        "type": "object",
        # Positions, since PostgreSQL keeps no order of keys.
        "properties": {key: keys[key] | {"position": place} for place, key in enumerate(in_order)},
        "additionalProperties": False,
        "default": {},
    }


def value_at(content: Any, key: str) -> Any:
    """The value of a dotted key, or ABSENT."""
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return ABSENT
        content = content[part]
    return content


def with_value(key: str, schema: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    value = value_at(content, key)
    if value is ABSENT or isinstance(value, dict):
        return schema | {"title": key}
    meaning = f"{schema['description']}. " if "description" in schema else ""
    return schema | {"title": key, "description": f"{meaning}In the file: {json.dumps(value)}"}


@cache
def all_keys() -> dict[str, dict[str, Any]]:
    """The schema of every dotted key below RunConfig; of a key that several choices have, what any of them takes."""
    found: dict[str, list[dict[str, Any]]] = {}
    names = (*FIRST, *(name for name in RunConfig.model_fields if name not in FIRST))
    for name in names:
        for key, schema in keys_of(RunConfig, name, ""):
            found.setdefault(key, []).append(schema)
    return {key: any_of(schemas) for key, schemas in found.items()}


def keys_of(section: type[BaseModel], name: str, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(dotted key, schema) of a field and of all that can stand below it."""
    field, key = section.model_fields[name], f"{prefix}{name}"
    choices = choices_of(field)
    kinds = [choice.model_fields["name"].default for choice in choices]
    if choices and all(issubclass(choice, Choice) and choice.bare for choice in choices):  # as a file has them
        name_alone = {"type": "string", "enum": kinds}
        meaning = {"description": field.description} if field.description else {}
        yield key, {"anyOf": [name_alone, CHOICE]} | meaning
        yield f"{key}.name", name_alone
    elif choices:
        or_null = {"anyOf": [CHOICE, {"type": "null"}], "description": CHOICE["description"]}
        yield key, or_null if field.default is None else CHOICE
        yield f"{key}.name", {"type": "string", "enum": kinds}
    sections = choices or ((section_of(field),) if section_of(field) else ())
    for inner in sections:
        for below in inner.model_fields:
            if below != "name":
                yield from keys_of(inner, below, f"{key}.")
    if not sections:
        yield key, schema_of(section, name)


def any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for what at least one of several takes, with the first description."""
    types = [{key: value for key, value in schema.items() if key != "description"} for schema in schemas]
    different = [schema for place, schema in enumerate(types) if schema not in types[:place]]
    if len(different) == 1:
        return schemas[0]
    if all(schema.keys() == {"type", "enum"} for schema in different):
        options = {option: None for schema in different for option in schema["enum"]}
        return schemas[0] | {"enum": list(options)}
    described = {key: schemas[0][key] for key in ("description",) if key in schemas[0]}
    return {"anyOf": different} | described


def schema_of(section: type[BaseModel], name: str) -> dict[str, Any]:
    """The JSON schema of a field, without default and title, which the configuration and the key give."""
    field = section.model_fields[name]
    annotation: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(annotation).json_schema()
    return {key: value for key, value in schema.items() if key not in ("default", "title")}
