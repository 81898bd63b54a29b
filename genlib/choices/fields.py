"""The sections and choices that a field of a configuration holds."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from genlib.choices.choice import Discovered
from genlib.choices.discovery import choices_of_kind


def section_of(field: FieldInfo) -> Any:
    """The model that a field holds, if it holds one and not a choice of several."""
    annotation = None if kind_of(field) else field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def choices_of(field: FieldInfo | None) -> tuple[type[BaseModel], ...]:
    """The models that a field chooses from by their `name`, null or not; none for other fields."""
    if field is None:
        return ()
    if kind := kind_of(field):
        return tuple(choices_of_kind(kind).values())
    return get_args(field.annotation) if is_union(field.annotation) and field.discriminator else ()


def kind_of(field: FieldInfo) -> Any:
    """The kind of choices that a field takes, null or not; None for other fields."""
    options: list[tuple[Any, Any]] = [(field.annotation, field.metadata)]
    if is_union(field.annotation):
        options += [(get_args(part)[0], get_args(part)[1:]) for part in get_args(field.annotation) if get_args(part)]
    for annotation, metadata in options:
        if any(isinstance(part, Discovered) for part in metadata):
            return annotation
    return None


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def sections_below(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Every section and choice that the fields of a section can hold, outer ones first, each once."""
    found: list[type[BaseModel]] = [section]
    for outer in found:
        for field in outer.model_fields.values():
            inner = section_of(field)
            found += [part for part in (*choices_of(field), *([inner] if inner else [])) if part not in found]
    yield from found[1:]
