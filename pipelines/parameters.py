"""What a user may ask of a deployment, as the JSON schema that Prefect's server and its form check it by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter

from genlib.config import RunConfig

CHOICE = {"type": "object", "required": ["name"], "description": "Another choice, with its keys"}
# Of the form: what is changed most comes first.
ORDER = ("training", "method", "data", "evaluation", "registry", "launcher")


def overrides_schema(config: RunConfig) -> dict[str, Any]:
    """Every key of a configuration by its dotted name, with its type, limits, meaning and present value; and no other.

    What belongs to a choice, such as a method's network, has that choice's keys; another choice is a whole section.
    """
    keys = {key: schema for name in ORDER for key, schema in keys_of(getattr(config, name), f"{name}.")}
    keys["launcher"] = CHOICE | {"title": "launcher"}
    return {
        "title": "overrides",
        "description": 'What differs from the file, by dotted key: {"training.steps": 2000, "training.seed": 1}',
        "type": "object",
        # Positions, since PostgreSQL keeps no order of keys.
        "properties": {key: schema | {"position": place} for place, (key, schema) in enumerate(keys.items())},
        "additionalProperties": False,
        "default": {},
    }


def keys_of(section: BaseModel, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in type(section).model_fields:
        key, value = f"{prefix}{name}", getattr(section, name)
        if name == "name":
            continue  # it comes with its section
        if not isinstance(value, BaseModel):
            now = json.dumps(section.model_dump(mode="json")[name])
            schema = schema_of(type(section), name)
            meaning = f"{schema['description']}. " if "description" in schema else ""
            yield key, schema | {"title": key, "description": f"{meaning}In the file: {now}"}
        elif "name" in type(value).model_fields:  # one choice of several
            yield key, CHOICE | {"title": key}
            yield from keys_of(value, f"{key}.")
        else:
            yield from keys_of(value, f"{key}.")


@cache
def schema_of(section: type[BaseModel], name: str) -> dict[str, Any]:
    """Without a default: the configuration has one already. All configurations share it: change a copy."""
    field = section.model_fields[name]
    annotation: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(annotation).json_schema()
    schema.pop("default", None)
    if "$defs" in schema:  # a choice that may be null
        return {"anyOf": [CHOICE, {"type": "null"}], "description": schema["description"]}
    return schema
