"""The sections and choices that a field of a configuration holds."""

from __future__ import annotations

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


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
