"""Choices: sections that are told apart by their `name`, each a file or folder that is found by looking.

A kind of choice is a class derived from Choice, such as Penalty, which names the package that its choices lie in. A
choice is a class derived from its kind, with a default for `name`. Whoever adds a file there, or a plugin, has added a
choice: a field of the type `Chosen[Penalty]` takes all that are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from genlib.choices.section import Section

if TYPE_CHECKING:
    from genlib.config.run import RunConfig

Rule = Callable[[Any, "RunConfig", str], str | None]
RuleType = TypeVar("RuleType", bound=Callable[..., str | None])


def rule(function: RuleType) -> RuleType:
    """Mark a method of a choice, (self, run, key) => None or what is wrong, why and the remedy.

    Every run that has the choice under the dotted `key` is asked. The docstring is the rule's line in the reference.
    """
    function.is_rule = True  # type: ignore[attr-defined]
    return function


class Choice(Section):
    """One of several sections that can stand under a key; `name` says which."""

    folder: ClassVar[str]  # dotted name of the package that the kind's choices lie in
    noun: ClassVar[str]  # what one choice is called in messages, such as "penalty"
    bare: ClassVar[bool] = False  # whether a choice without keys of its own is written as its name alone
    training_only: ClassVar[tuple[str, ...]] = ()  # methods whose imports a registered model does without

    name: str

    @classmethod
    def rules(cls) -> list[tuple[str, Rule]]:
        """(name, rule) of every rule, those of base classes first."""
        found: dict[str, Rule] = {}
        for base in reversed(cls.__mro__):
            found |= {name: value for name, value in vars(base).items() if getattr(value, "is_rule", False)}
        return list(found.items())


class Discovered:
    """Makes of a kind, in pydantic's eyes, the union of its choices; a choice may be given by its bare name."""

    def __get_pydantic_core_schema__(self, source: type[Choice], handler: GetCoreSchemaHandler) -> CoreSchema:
        from genlib.choices.discovery import choices_of_kind

        schemas = {name: handler.generate_schema(choice) for name, choice in choices_of_kind(source).items()}
        union = core_schema.tagged_union_schema(schemas, discriminator="name")
        written = core_schema.wrap_serializer_function_ser_schema(written_bare) if source.bare else None
        return core_schema.no_info_before_validator_function(section_of_name, union, serialization=written)


def section_of_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def written_bare(value: Choice, as_section: Callable[[Choice], Any]) -> Any:
    return value.name if len(type(value).model_fields) == 1 else as_section(value)


Kind = TypeVar("Kind", bound=Choice)
Chosen = Annotated[Kind, Discovered()]


def choices_below(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, Choice]]:
    """(dotted key, choice) of every choice that a section's values hold, outer ones first."""
    for name in type(section).model_fields:
        value, key = getattr(section, name), f"{prefix}{name}"
        if isinstance(value, Choice):
            yield key, value
        if isinstance(value, Section):
            yield from choices_below(value, f"{key}.")
