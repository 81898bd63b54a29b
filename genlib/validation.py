"""Bad configuration in one line: what was given, what is needed, and the nearest right word."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genlib.errors import UserError
from genlib.yaml_text import NOT_YAML, read_yaml

Model = TypeVar("Model", bound=BaseModel)
LONGEST_QUOTE = 200  # characters of what a message repeats of its input
LONGEST_MESSAGE = 2000
MOST_PROBLEMS = 8  # named in one message
REMEDIES = {  # by pydantic's type of problem
    "int_type": "write it without quotes, as 3 and not as 3.0",
    "float_type": "write it without quotes, as 0.5 or 1e-4",
    "bool_type": "write true or false",
}


def shortened(text: str, most: int = LONGEST_QUOTE) -> str:
    """The text, or its beginning and end where it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]} ... {text[-end:]} ({len(text):,} characters)"


def quoted(value: Any) -> str:
    """A given value as a message repeats it: its Python form, shortened."""
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "a number of thousands of digits"


def one_line(message: str) -> str:
    """A message with whatever line breaks the given values had as spaces, and not without end."""
    return shortened(" ".join(message.split()), LONGEST_MESSAGE)


def parsed_override(override: str) -> tuple[str, Any]:
    """The dotted key and the value of `key=value`, which is YAML."""
    key, equals, value = override.partition("=")
    if not (key and equals):
        raise UserError(f"--set {quoted(override)} must look like key=value, for example training.steps=100.")
    try:
        return checked_key(key.strip()), read_yaml(value)
    except NOT_YAML as error:
        raise UserError(
            one_line(
                f"--set {shortened(key)}: {quoted(value)} cannot be read as a YAML value: {shortened(str(error))}."
            )
        ) from error


def checked_key(key: str) -> str:
    """The key; UserError unless it is names with dots between them."""
    if all(name and name == name.strip() for name in key.split(".")):
        return key
    raise UserError(
        f"override {quoted(key)} has an empty name at an end or between dots; name section and key, such as "
        "training.steps."
    )


def ordered(overrides: Sequence[str] | Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Dotted keys and values in an order in which none drops another one.

    A mapping's sections come before keys inside them, since JSON has no order. Of a list, a section that comes after a
    key inside it is a UserError; the last of equal keys counts.
    """
    if isinstance(overrides, Mapping):
        return sorted(((checked_key(key), value) for key, value in overrides.items()), key=lambda p: p[0].count("."))
    pairs = [parsed_override(override) for override in overrides]
    for position, (key, _) in enumerate(pairs):
        for earlier, _ in pairs[:position]:
            if earlier.startswith(f"{key}."):
                raise UserError(
                    f"--set {shortened(key)} comes after --set {shortened(earlier)}, which it would undo; set the "
                    "section first, or only one of the two."
                )
    return pairs


def set_key(content: dict[str, Any], key: str, value: Any) -> None:
    """Set one dotted key, in place; a section that is absent or null is made."""
    *sections, last = key.split(".")
    for position, name in enumerate(sections):
        if content.get(name) is None:
            content[name] = {}
        content = content[name]
        if not isinstance(content, dict):
            section = ".".join(sections[: position + 1])
            raise UserError(
                one_line(
                    f"override {shortened(key)}: {shortened(section)} is a value, not a section ({quoted(content)}); "
                    f"set the whole of it, such as {shortened(section)}={{name: ..., {shortened(last)}: ...}}."
                )
            )
    content[last] = value


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


def section_of(field: FieldInfo) -> Any:
    """The model that a field holds, if it holds one."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def choices_of(field: FieldInfo | None) -> tuple[type[BaseModel], ...]:
    """The models that a field chooses from by their `name`, null or not; none for other fields."""
    if field is None or not is_union(field.annotation):
        return ()
    if field.discriminator:
        return get_args(field.annotation)
    for option in get_args(field.annotation):  # such as a choice or null
        if get_origin(option) is Annotated and any(getattr(part, "discriminator", None) for part in get_args(option)):
            return get_args(get_args(option)[0])
    return ()


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """', did you mean ...?' when something known is close enough, else nothing."""
    close = difflib.get_close_matches(str(given), list(known), n=1) if len(str(given)) <= LONGEST_QUOTE else []
    return f", did you mean '{close[0]}'?" if close else ""
