"""Overrides of single keys: `training.steps=100`, or a mapping of dotted keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genlib.config.yaml_text import NOT_YAML, read_yaml
from genlib.errors import UserError, one_line, quoted, shortened


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
    """Set one dotted key, in place. A section that is absent or null is made, and a choice's bare name becomes one."""
    *sections, last = key.split(".")
    for position, name in enumerate(sections):
        if content.get(name) is None:
            content[name] = {}
        elif isinstance(content[name], str):
            content[name] = {"name": content[name]}
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
