"""Bad configuration in one line: what was given, what is needed, and the nearest right word."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genlib.errors import UserError

Model = TypeVar("Model", bound=BaseModel)
# What PyYAML raises: for text that is no YAML, for tags that their values do not fit, and for nesting without end.
NOT_YAML = (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def one_line(message: str) -> str:
    """A message with whatever line breaks the given values had as spaces."""
    return " ".join(message.split())


def parsed_override(override: str) -> tuple[str, Any]:
    """The dotted key and the value of `key=value`, which is YAML."""
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise UserError(f"--set {override!r} must look like key=value, for example training.steps=100.")
    try:
        return key.strip(), yaml.safe_load(value)
    except NOT_YAML as error:
        raise UserError(one_line(f"--set {key}: {value!r} is no YAML value: {error}.")) from error


def set_key(content: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key, in place."""
    *sections, last = key.split(".")
    for position, name in enumerate(sections):
        content = content.setdefault(name, {})
        if not isinstance(content, dict):
            section = ".".join(sections[: position + 1])
            raise UserError(one_line(f"override {key}: {section} is a value, not a section."))
    content[last] = value


def validated(model: type[Model], content: dict[str, Any], origin: str) -> Model:
    """An instance of `model`, or a UserError with every problem on one line."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(describe(model, problem) for problem in error.errors())
        raise UserError(one_line(f"{origin}: {problems}")) from error


def describe(model: type[BaseModel], problem: Any) -> str:
    """One pydantic problem in one clause: where, what was given, what is needed."""
    section, keys = follow(model, problem["loc"])
    key, kind, given = ".".join(keys), problem["type"], problem["input"]
    if kind == "extra_forbidden":
        hint = did_you_mean(keys[-1], section.model_fields) or belongs_to(model, problem["loc"])
        return f"unknown key '{key}'{hint}"
    if kind == "missing":
        return f"'{key}' is missing; it needs a value"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        choices = [choice.model_fields["name"].default for choice in choices_of(section.model_fields[keys[-1]])]
        known = f"known: {', '.join(choices)}"
        tag = problem["ctx"].get("tag")
        return f"{key}.name {f'{tag!r} is unknown{did_you_mean(tag, choices)}' if tag else 'is missing'}; {known}"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message if not key or key in message else f"{key}: {message}"
    return f"{key} is {given!r}, but {message[0].lower()}{message[1:]}"


def follow(model: type[BaseModel], location: Iterable[int | str]) -> tuple[type[BaseModel], list[str]]:
    """The section that a pydantic location ends in, and the location's keys without pydantic's union tags."""
    section, field, keys = model, None, []
    for part in location:
        chosen = [choice for choice in choices_of(field) if choice.model_fields["name"].default == part]
        if chosen:
            section, field = chosen[0], None
            continue
        if field is not None and section_of(field):
            section = section_of(field)
        keys.append(str(part))
        field = section.model_fields.get(str(part))
    return section, keys


def belongs_to(model: type[BaseModel], location: Iterable[int | str]) -> str:
    """', which is one of ...' when another choice of the same section has the key, else nothing."""
    section, field, others = model, None, []
    *path, key = location
    for part in path:
        chosen = [choice for choice in choices_of(field) if choice.model_fields["name"].default == part]
        if chosen:
            others = [choice for choice in choices_of(field) if choice is not chosen[0] and key in choice.model_fields]
            section, field = chosen[0], None
            continue
        if field is not None and section_of(field):
            section = section_of(field)
        field = section.model_fields.get(str(part))
    names = ", ".join(choice.model_fields["name"].default for choice in others)
    return f", which is one of {names} and not of {section.model_fields['name'].default}" if names else ""


def section_of(field: FieldInfo) -> Any:
    """The model that a field holds, if it holds one."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def choices_of(field: FieldInfo | None) -> tuple[type[BaseModel], ...]:
    """The models that a field chooses from by their `name`; none for other fields."""
    annotation = field.annotation if field else None
    return get_args(annotation) if field and field.discriminator and is_union(annotation) else ()


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """', did you mean ...?' when something known is close enough, else nothing."""
    close = difflib.get_close_matches(str(given), list(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""
