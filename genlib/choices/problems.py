"""Invalid configuration in one line: the value, the need, and the nearest known name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from genlib.choices.fields import choices_of, section_of
from genlib.errors import UserError, did_you_mean, one_line, quoted, shortened

Model = TypeVar("Model", bound=BaseModel)


MOST_PROBLEMS = 8  # named in one message
REMEDIES = {  # by pydantic's type of problem
    "int_type": "write it without quotes, as 3 and not as 3.0",
    "float_type": "write it without quotes, as 0.5 or 1e-4",
    "bool_type": "write true or false",
}


def validated(model: type[Model], content: dict[str, Any], origin: str) -> Model:
    """An instance of `model`, or a UserError with the problems on one line."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        named = [describe(model, problem) for problem in problems[:MOST_PROBLEMS]]
        more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
        raise UserError(one_line(f"{origin}: {'; '.join([*named, *more])}")) from error


def describe(model: type[BaseModel], problem: Any) -> str:
    """One pydantic problem in one clause: where, what was given, what is needed."""
    section, keys = follow(model, problem["loc"])
    key, kind, given = shortened(".".join(keys)), problem["type"], quoted(problem["input"])
    if kind == "extra_forbidden":
        hint = did_you_mean(keys[-1], section.model_fields) or belongs_to(model, problem["loc"])
        return f"unknown key '{key}'{hint}"
    if kind == "missing":
        return f"'{key}' is missing; it needs a value"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        choices = [choice.model_fields["name"].default for choice in choices_of(section.model_fields[keys[-1]])]
        known = f"known: {', '.join(choices)}"
        tag = problem["ctx"].get("tag")
        unknown = f"{quoted(tag)} is unknown{did_you_mean(tag, choices)}" if tag else "is missing"
        return f"{key}.name {unknown}; {known}"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message if not key or key in message else f"{key}: {message}"
    if kind in ("model_type", "model_attributes_type"):
        field = section.model_fields.get(keys[-1]) if keys else None
        choices = [choice.model_fields["name"].default for choice in choices_of(field)]
        how = f"write one such as {{name: {choices[0]}}}" if choices else "write its keys, or leave it out"
        return f"{key or 'the whole'} is {given}, but it must be a section; {how}"
    remedy = f"; {REMEDIES[kind]}" if kind in REMEDIES else ""
    if kind == "string_type" and isinstance(problem["input"], bool | int | float):
        remedy = "; write it in quotes"
    return f"{key} is {given}, but {message[0].lower()}{message[1:]}{remedy}"


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
