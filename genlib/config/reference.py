"""`genlib methods` and docs/configuration.md: every key of every section and choice, and what can be combined.

All of it is read off the configuration's own types, records and rules. `python -m genlib.config.reference FILE` writes
the page.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genlib.choices.choice import Choice
from genlib.choices.discovery import choices_of_kind, kind_declared_by, origin_of
from genlib.choices.fields import choices_of, section_of
from genlib.config.metrics import metrics
from genlib.config.rules import BETWEEN_SECTIONS
from genlib.config.run import RunConfig
from genlib.data.sources import sources
from genlib.runtime.text import text_table
from genlib.storage.files import write_bytes

WIDTH = 120  # columns
INTRODUCTION = """# Configuration

A configuration is a YAML file of these sections; a key's dotted name is what `--set` takes, such as
`--set training.steps=2000`. Where a key holds one of several choices, its `name` says which, and the other keys are
those of the choice: `penalty: {name: r1, weight: 5}`, or `penalty: r1` for a choice with its defaults.

This page is made by `make docs` from the code, and a test compares them. `genlib methods` prints the same, with what
installed plugins add."""


class Key(NamedTuple):
    """One key of a section."""

    name: str
    limits: str  # the values that it takes, in words
    default: str  # as YAML has it, or "required"
    meaning: str


class Entry(NamedTuple):
    """A section, or a choice of a name."""

    title: str  # such as "training", or "penalty.name: r1"
    meaning: str
    origin: str  # "genlib", or the package of a plugin
    keys: list[Key]


class Rule(NamedTuple):
    """Sections or choices that do not go together, or not without something."""

    subject: str  # the choices that it is about; "" for a rule between sections
    meaning: str


def listing() -> str:
    """Each section and each choice of a name with its keys; then sources, metrics, and what does not go together."""
    blocks = [block(key, section) for key, section in sections_below(RunConfig)]
    rules = [f"{rule.subject}: {rule.meaning}" if rule.subject else rule.meaning for rule in rules_below(RunConfig)]
    tail = ["\n".join(["Not together, or not without:", *map(wrapped, rules)])]
    return "\n\n".join([table(), *blocks, sources_block(), metrics_block(), *tail])


def sources_block() -> str:
    """The sources that data.source can name, as lines of text."""
    lines = [f"{source.name}{remark(origin_of(source))}. {source.description}" for source in sources().values()]
    return "\n".join(["data.source:", *map(wrapped, lines)])


def metrics_block() -> str:
    """The metrics, as lines of text; a model can be gated on those with a better direction."""
    lines = []
    for metric in metrics().values():
        better = f" ({metric.better} is better)" if metric.better else " (reported alone)"
        lines.append(f"{metric.name}{better}{remark(origin_of(metric))}. {metric.meaning}")
    return "\n".join(["registry.metric:", *map(wrapped, lines)])


def remark(origin: str) -> str:
    """`, from PACKAGE` for what a plugin adds."""
    return "" if origin == "genlib" else f", from {origin}"


def page() -> str:
    """The reference as Markdown, of what is in genlib itself and of installed plugins."""
    parts = [INTRODUCTION]
    for entry in (entry_of(key, section) for key, section in sections_below(RunConfig)):
        heading = f"## {entry.title.replace('.name: ', ': ')}"
        meaning = ". ".join(filter(None, [entry.meaning.rstrip("."), remark(entry.origin).removeprefix(", ")]))
        parts += [heading, *([f"{meaning}."] if meaning else [])]
        if entry.keys:
            rows: list[Sequence[str]] = [
                (f"`{key.name}`", key.limits, f"`{key.default}`", key.meaning) for key in entry.keys
            ]
            parts.append(markdown_table(("key", "values", "default", "meaning"), rows))
    known: list[Sequence[str]] = [
        (f"`{source.name}`", source.description, origin_of(source)) for source in sources().values()
    ]
    parts += ["## Sources of data", markdown_table(("data.source", "", "from"), known)]
    measured: list[Sequence[str]] = [
        (f"`{metric.name}`", metric.better or "", metric.over, metric.meaning, origin_of(metric))
        for metric in metrics().values()
    ]
    parts += ["## Metrics", "A model can be gated (`registry.metric`) on those with a better direction."]
    parts.append(markdown_table(("metric", "better", "measured over", "meaning", "from"), measured))
    rules = [f"- {f'`{rule.subject}`: ' if rule.subject else ''}{rule.meaning}" for rule in rules_below(RunConfig)]
    parts += ["## Not together, or not without", "\n".join(rules)]
    return "\n\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rules_below(section: type[BaseModel]) -> list[Rule]:
    """The rules between sections, and those of all choices below a section, each once."""
    found = [Rule("", one_paragraph(rule.__doc__)) for rule in BETWEEN_SECTIONS]
    subjects: dict[Any, list[type[Choice]]] = {}
    for _, choice in sections_below(section):
        if issubclass(choice, Choice):
            for _, rule in choice.rules():
                subjects.setdefault(rule, []).append(choice)
    return [*found, *(Rule(subject_of(about), one_paragraph(rule.__doc__)) for rule, about in subjects.items())]


def subject_of(choices: list[type[Choice]]) -> str:
    """The choices' names after their kind; the kind alone where it is all that there are."""
    kind = kind_declared_by(choices[0])
    names = [name for name, choice in choices_of_kind(kind).items() if choice in choices]
    every = len(names) == len(choices_of_kind(kind))
    return choices[0].noun if every else f"{choices[0].noun} {', '.join(names)}"


def one_paragraph(text: str | None) -> str:
    return " ".join((text or "").split())


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
    """Networks, data and conditions that go with each method, found by trying."""
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
    entry = entry_of(key, section)
    title = f"{entry.title}{remark(entry.origin)}"
    lines = [wrapped(line(key)) for key in entry.keys]
    return "\n".join([wrapped(f"{title} - {entry.meaning}" if entry.meaning else f"{title}:", ""), *lines])


def line(key: Key) -> str:
    """`key = default  (limits). Meaning`."""
    return f"{key.name} = {key.default}{f'  ({key.limits})' if key.limits else ''}. {key.meaning}"


def entry_of(key: str, section: type[BaseModel]) -> Entry:
    name = section.model_fields["name"].default if "name" in section.model_fields else None
    keys = [
        Key(key, limits_of(field), default_of(field), one_paragraph(field.description))
        for key, field in section.model_fields.items()
        if key != "name"
    ]
    origin = origin_of(section) if issubclass(section, Choice) else "genlib"
    return Entry(f"{key}.name: {name}" if name else key, one_paragraph(section.__doc__), origin, keys)


def default_of(field: FieldInfo) -> str:
    """As YAML has it; of a choice its name, of a section what differs from the section's own defaults."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
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
    """Values that a key takes, in words."""
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


if __name__ == "__main__":
    write_bytes(Path(sys.argv[1]), page().encode())
