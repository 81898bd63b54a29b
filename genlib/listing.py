"""`genlib methods`: what can be chosen and combined, read off the configuration's own types and rules."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genlib.config import CONDITION_RULES, RULES, RunConfig
from genlib.validation import choices_of, section_of

Choice = type[BaseModel]


def listing() -> str:
    """Each choice of a name with its keys, their defaults and meaning; then what does not go together."""
    blocks = [block(key, choice) for key, choice in choices_below(RunConfig)]
    rules = [f"    {' '.join((rule.__doc__ or '').split())}" for rule in (*RULES, *CONDITION_RULES)]
    return "\n\n".join([table(), *blocks, "\n".join(["Not together, or not without:", *rules])])


def table() -> str:
    """What each method can be made of and do, found by trying."""
    methods = [choice for key, choice in choices_below(RunConfig) if key == "method"]
    networks = [choice.model_fields["name"].default for key, choice in choices_below(RunConfig) if key == "network"]
    images = {"source": "digits"}
    columns: dict[str, dict[str, dict[str, Any]]] = {
        **{name: {"data": images, "method": {"network": {"name": name}}} for name in networks if name != "unet"},
        "points": {"data": {"source": "ring8"}, "method": {"network": {"name": "mlp"}}},
        "labels": {"data": images, "method": {"conditioning": "concat"}},
        "images": {
            "data": images,
            "condition": {"name": "low_resolution"},
            "method": {"network": {"name": "unet"}},
        },
        "likelihood": {"data": images, "method": {}, "registry": {"metric": "log_likelihood"}},
        "reconstruction": {"data": images, "method": {}, "registry": {"metric": "psnr"}},
    }
    rows = [["method", *columns]]
    for choice in methods:
        name = choice.model_fields["name"].default
        rows.append([name, *("yes" if possible(name, settings) else "-" for settings in columns.values())])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def possible(method: str, settings: dict[str, dict[str, Any]]) -> bool:
    """Whether the configuration takes the method with these settings."""
    points = settings["data"]["source"] != "digits"
    content = {
        "data": settings["data"],
        "condition": settings.get("condition", {"name": "none"}),
        "method": {"name": method, **settings["method"]},
        "evaluation": {"features": "points" if points else "classifier"},
        "registry": {
            "model": "any",
            "metric": "energy_distance" if points else "fd_classifier",
            **settings.get("registry", {}),
        },
    }
    try:
        RunConfig.model_validate(content)
    except ValidationError:
        return False
    return True


def choices_below(section: Choice) -> list[tuple[str, Choice]]:
    """(key, choice) of every choice by name below a section, outermost first; those of several owners once."""
    found: list[tuple[str, Choice]] = []
    waiting = [section]
    seen: set[Choice] = set()
    while waiting:
        owner = waiting.pop(0)
        for key, field in owner.model_fields.items():
            choices = choices_of(field)
            found += [(key, choice) for choice in choices if choice not in seen]
            inner = [*choices, *([section_of(field)] if section_of(field) else [])]
            waiting += [choice for choice in inner if choice not in seen]
            seen |= set(inner)
    return found


def block(key: str, choice: Choice) -> str:
    """One choice as lines of text."""
    title = f"{key}.name: {choice.model_fields['name'].default}    {' '.join((choice.__doc__ or '').split())}"
    return "\n".join([title, *(f"    {line(name, field)}" for name, field in keys_of(choice))])


def keys_of(choice: Choice) -> list[tuple[str, FieldInfo]]:
    return [(name, field) for name, field in choice.model_fields.items() if name != "name"]


def line(key: str, field: FieldInfo) -> str:
    """`key = default  (options)  description`."""
    return f"{key} = {default_of(field)}{options_of(field)}  {field.description or ''}".rstrip()


def default_of(field: FieldInfo) -> str:
    """A choice by its name; of an optimizer what differs from its own defaults."""
    value = field.default
    if not isinstance(value, BaseModel):
        return str(value)
    name = getattr(value, "name", None)
    return str(name) if name else str(value.model_dump(exclude_defaults=True) or "its defaults")


def options_of(field: FieldInfo) -> str:
    kinds = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    names = [choice.model_fields["name"].default for choice in choices_of(field)]
    return f"  ({' | '.join(map(str, [*kinds, *names]))})" if kinds or names else ""
