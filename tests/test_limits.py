"""What every key of every section has: a meaning, limits where it is a number, and a strict type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, TypeAdapter, ValidationError

from genlib.choices.fields import choices_of, section_of
from genlib.choices.problems import validated
from genlib.choices.section import Section
from genlib.config.run import RunConfig
from genlib.errors import UserError


def sections(section: type[BaseModel] = RunConfig) -> Iterator[type[BaseModel]]:
    """The section and all that can stand below it."""
    yield section
    for field in section.model_fields.values():
        for inner in (*choices_of(field), *([section_of(field)] if section_of(field) else [])):
            yield from sections(inner)


SECTIONS = sorted(set(sections()), key=lambda section: section.__name__)
FIELDS = [(section, name) for section in SECTIONS for name in section.model_fields if name != "name"]
IDS = [f"{section.__name__}.{name}" for section, name in FIELDS]


def numbers_without_limits(annotation: Any, metadata: list[Any]) -> list[str]:
    """The number types within an annotation that lack a finite limit at either end."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        own = [part for item in own for part in getattr(item, "metadata", [item])]
        return numbers_without_limits(inner, own)
    if annotation in (int, float):
        below = [limit.ge if isinstance(limit, Ge) else limit.gt for limit in metadata if isinstance(limit, Ge | Gt)]
        above = [limit.le if isinstance(limit, Le) else limit.lt for limit in metadata if isinstance(limit, Le | Lt)]
        limited = below and above and all(map(math.isfinite, [*below, *above]))
        return [] if limited else [annotation.__name__]
    is_list = get_origin(annotation) is list
    return [
        found
        for inner in get_args(annotation)
        if not isinstance(inner, str | int)
        for found in numbers_without_limits(inner, [] if is_list else metadata)
    ]


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=IDS)
def test_every_key_has_a_meaning_and_every_number_two_limits(section, name):
    field = section.model_fields[name]
    assert field.description or section is RunConfig
    assert numbers_without_limits(field.annotation, field.metadata) == []


def test_a_number_without_a_limit_is_found():
    class Open(Section):
        one: int = 1
        two: list[int] = []
        three: float | None = None

    fields = Open.model_fields.values()
    assert [numbers_without_limits(field.annotation, field.metadata) for field in fields] == [
        ["int"],
        ["int"],
        ["float"],
    ]


def kinds(annotation: Any) -> set[type]:
    inner = get_args(annotation)
    if not inner:
        return {annotation} if isinstance(annotation, type) else {type(annotation)}
    return set().union(*map(kinds, inner))


NUMBERS = [
    (section, name) for section, name in FIELDS if kinds(section.model_fields[name].annotation) & {int, float, bool}
]


@pytest.mark.parametrize(("section", "name"), NUMBERS, ids=[f"{section.__name__}.{name}" for section, name in NUMBERS])
def test_what_is_no_finite_number_is_taken_for_none(section, name):
    annotation = section.model_fields[name].annotation
    wrong: list[Any] = ["100", "many", math.nan, math.inf, -math.inf, 10**30, -(10**30), 2.0**70, 10**5000, b"1", [[1]]]
    if bool not in kinds(annotation):
        wrong += [True, False]
    if bool in kinds(annotation):
        wrong += [0, 1, "on", "true"]
    for value in wrong:
        for given in (value, [value]) if list in (get_origin(annotation), annotation) else (value,):
            with pytest.raises(ValidationError) as error:
                section.model_validate({name: given})
            assert any(problem["loc"][0] == name for problem in error.value.errors()), given


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"training": {"steps": 3.0}}, "training.steps is 3.0, but input should be a valid integer; write it without"),
        ({"training": {"steps": "100"}}, "training.steps is '100', but input should be a valid integer; write it"),
        ({"training": {"compile": "on"}}, "training.compile is 'on', but input should be a valid boolean; write true"),
        ({"training": {"steps": 2**40}}, "training.steps is 1099511627776, but input should be less than or equal to"),
        ({"evaluation": {"samples": 10**21}}, "evaluation.samples is 1000000000000000000000, but input should be less"),
        ({"training": {"steps": 10**5000}}, "training.steps is a number of thousands of digits, but"),
        ({"data": {"channels": True}}, "data.channels is True, but it must be 1 or 3"),
        ({"data": {"train_split": 5}}, "data.train_split is 5, but input should be a valid string; write it in quotes"),
    ],
)
def test_a_wrong_number_is_answered_with_what_to_write(content, message):
    base = {"method": {"name": "vae"}, "registry": {"model": "m"}}
    with pytest.raises(UserError) as error:
        validated(RunConfig, base | content, "file")
    assert message in str(error.value)


def test_limits_are_in_the_schema_that_forms_are_made_of():
    schema = TypeAdapter(RunConfig).json_schema()["$defs"]["TrainingConfig"]["properties"]["steps"]
    assert schema["minimum"] == 1 and schema["maximum"] == 10**9
