"""`genlib methods`: every key of every section with its default, limits and meaning, and what can be combined.

All of it is read off the configuration's own types and rules.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genlib.choices.fields import choices_of, section_of
from genlib.config.metrics import gate_metrics
from genlib.config.rules import all_rules
from genlib.config.run import RunConfig
from genlib.runtime.text import text_table

WIDTH = 120  # columns


def listing() -> str:
    """Each section and each choice of a name with its keys; then the metrics, and what does not go together."""
    blocks = [block(key, section) for key, section in sections_below(RunConfig)]
    rules = [wrapped(meaning) for meaning in all_rules(RunConfig).values()]
    return "\n\n".join([table(), *blocks, metrics_block(), "\n".join(["Not together, or not without:", *rules])])


def metrics_block() -> str:
    """The metrics that a model can be gated on, as lines of text."""
    of_each = (f"{metric.name} ({metric.better} is better). {metric.meaning}" for metric in gate_metrics().values())
    return "\n".join(["registry.metric:", *map(wrapped, of_each)])


def wrapped(text: str, indent: str = "    ") -> str:
    """In lines that a terminal shows whole, the second and later ones further in."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def table() -> str:
    """What each method can be made of and do, found by trying."""
    methods = [choice for key, choice in sections_below(RunConfig) if key == "method"]
    networks = [choice.model_fields["name"].default for key, choice in sections_below(RunConfig) if key == "network"]
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
    return text_table(rows)


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


def sections_below(section: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """(key, section) of every section below one, and of every choice by name; those of several owners once.

    Plain sections come first, and what stands inside others after them.
    """
    found: list[tuple[str, type[BaseModel]]] = []
    waiting = [section]
    while waiting:
        inner = [
            (key, part)
            for key, field in waiting.pop(0).model_fields.items()
            for part in (*choices_of(field), *([section_of(field)] if section_of(field) else []))
        ]
        for key, part in sorted(inner, key=lambda pair: "name" in pair[1].model_fields):
            if part not in [known for _, known in found]:
                found.append((key, part))
                waiting.append(part)
    return found


def block(key: str, section: type[BaseModel]) -> str:
    """One section or choice as lines of text."""
    name = section.model_fields["name"].default if "name" in section.model_fields else None
    title = f"{key}.name: {name}" if name else key
    lines = [wrapped(line(key, field)) for key, field in section.model_fields.items() if key != "name"]
    return "\n".join([wrapped(f"{title} - {section.__doc__}" if section.__doc__ else f"{title}:", ""), *lines])


def line(key: str, field: FieldInfo) -> str:
    """`key = default  (options or limits)  description`."""
    limits = limits_of(field)
    return f"{key} = {default_of(field)}{f'  ({limits})' if limits else ''}. {field.description or ''}"


def default_of(field: FieldInfo) -> str:
    """As YAML has it; of a choice its name, of a section what differs from the section's own defaults."""
    if field.is_required():
        return "required"
    value = field.default
    if not isinstance(value, BaseModel):
        return in_yaml(value)
    differing = value.model_dump(exclude_defaults=True, exclude={"name"})
    settings = ", ".join(f"{key}: {in_yaml(differing[key])}" for key in differing)
    if "name" in type(value).model_fields:
        return f"{value.model_dump()['name']}{f' with {settings}' if settings else ''}"
    return f"{{{settings}}}"


def in_yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(in_yaml, value))}]"
    return str(value)


def limits_of(field: FieldInfo) -> str:
    """What a value may be, in words."""
    names = [choice.model_fields["name"].default for choice in choices_of(field)]
    if section_of(field):
        return "keys below"
    if names:
        return " | ".join([*names, *(["null"] if field.default is None else [])])
    return described(field.annotation, field.metadata)


def described(annotation: Any, metadata: Iterable[Any]) -> str:
    """A type with its limits: `1 to 1000`, `true | false`, `adam | rmsprop`, `list of 1 to 65536`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [part for item in arguments[1:] for part in getattr(item, "metadata", [item])]
        return described(arguments[0], inner)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin is list:
        most = next((limit.max_length for limit in metadata if isinstance(limit, MaxLen)), None)
        return f"list of {f'at most {most:,}: ' if most else ''}{described(arguments[0], ())}"
    if origin is dict:
        return "names with values"
    if arguments:  # a union
        return " | ".join(described(inner, metadata) for inner in arguments)
    if annotation in (int, float):
        return in_words(metadata)
    return {bool: "true | false", str: "text", Path: "path", type(None): "null"}.get(annotation, "")


def in_words(metadata: Iterable[Any]) -> str:
    """The two limits of a number."""
    words = ["", ""]
    for limit in metadata:
        match limit:
            case Ge(ge=least):
                words[0] = legible(least)
            case Gt(gt=least):
                words[0] = f"above {legible(least)}"
            case Le(le=most):
                words[1] = legible(most)
            case Lt(lt=most):
                words[1] = f"below {legible(most)}"
    return " to ".join(word for word in words if word)


def legible(number: Any) -> str:
    """Digits in groups of three."""
    return f"{int(number):,}" if number == int(number) else f"{number:g}"
