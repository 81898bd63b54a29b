"""Which choices and records there are: those in the kinds' own packages, and those of plugins.

A plugin is an installed package that declares an entry point of the group `genlib.plugins`, whose value names a module
or package of its own. Every choice or record that is defined there, or in a module directly below, is known like ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from operator import attrgetter
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from genlib.choices.choice import Choice
from genlib.choices.record import Record
from genlib.errors import UserError, one_line

GROUP = "genlib.plugins"
SETTINGS = "config"  # module of a choice that is a folder: its settings
Kind = TypeVar("Kind", bound=Choice)
RecordKind = TypeVar("RecordKind", bound=Record)


class Found(NamedTuple):
    """A choice or record, and the module that declares it."""

    name: str
    value: Any
    module: ModuleType


def choices_of_kind(kind: type[Kind]) -> dict[str, type[Kind]]:
    """The choices of a kind by their names, our own first, in the order of their names.

    ImportError for a file of the kind's package that declares none. UserError for two of the same name.
    """
    return {name: found.value for name, found in found_of_kind(kind).items()}


def records_of_kind(kind: type[RecordKind]) -> dict[str, RecordKind]:
    """The records of a kind by their names, our own first, in the order of their names.

    ImportError for a file of the kind's package that declares none. UserError for two of the same name.
    """
    return {name: found.value for name, found in found_of_kind(kind).items()}  # type: ignore[arg-type]


def origin_of(value: type[Choice] | Record) -> str:
    """The package that defines a choice or record: "genlib", or the top package of a plugin."""
    if isinstance(value, Record):
        module = found_of_kind(kind_of_choice(value))[value.name].module.__name__
    else:
        module = value.__module__
    top = module.partition(".")[0]
    return "genlib" if top in ("genlib", "pipelines") else top


@cache
def found_of_kind(kind: Any) -> dict[str, Found]:
    own = [found for module in modules_in(kind.folder) for found in declared(module, kind)]
    others = [found for module in plugin_modules() for found in of_plugin(module, kind)]
    by_name: dict[str, Found] = {}
    for found in (*sorted(own, key=attrgetter("name")), *sorted(others, key=attrgetter("name"))):
        first = by_name.setdefault(found.name, found)
        if first.value is not found.value:
            raise UserError(
                f"{kind.noun} '{found.name}' is declared twice, in {first.module.__file__} and "
                f"{found.module.__file__}; rename or remove one of them."
            )
    return by_name


def kind_of_choice(value: Choice | Record) -> Any:
    """The class that says which package the choices or records of its kind lie in."""
    return kind_declared_by(type(value))


def kind_declared_by(choice: type[Choice] | type[Record]) -> Any:
    """The kind that a class of a choice or of a record belongs to."""
    return next(kind for kind in choice.__mro__ if "folder" in vars(kind))


def names_where(kind: type[Choice], fact: str) -> str:
    """The names of a kind's choices for which a fact is true, as `gan, iwae or vae`."""
    *first, last = (name for name, choice in choices_of_kind(kind).items() if getattr(choice, fact))
    return f"{', '.join(first)} or {last}" if first else last


def modules_in(package: str) -> Iterator[ModuleType]:
    """The modules directly in a package; of a folder the module that holds its settings."""
    spec = find_spec(package)
    for found in iter_modules(spec.submodule_search_locations if spec else ()):
        if not found.name.startswith("_"):
            name = f"{package}.{found.name}"
            settings = f"{name}.{SETTINGS}"
            yield import_module(settings if found.ispkg and find_spec(settings) else name)


def declared(module: ModuleType, kind: Any) -> list[Found]:
    """The choices or records that one of our own modules defines; ImportError where there is none."""
    found = list(defined_in(module, kind))
    if not found:
        needed = (
            f"a variable that holds a {kind.__name__}"
            if issubclass(kind, Record)
            else f"a class derived from {kind.__name__}, with a default for its `name`"
        )
        raise ImportError(
            f"{module.__file__} lies where every file declares a {kind.noun}, and declares none: {needed}"
        )
    return found


def of_plugin(module: ModuleType, kind: Any) -> list[Found]:
    """The choices or records of a plugin's module; none, and a warning, where one of them is incomplete."""
    try:
        return list(defined_in(module, kind))
    except ImportError as error:
        print(one_line(f"warning: {error}; the {kind.noun} choices of this module are not known."), file=sys.stderr)
        return []


def defined_in(module: ModuleType, kind: Any) -> Iterator[Found]:
    return records_in(module, kind) if issubclass(kind, Record) else choices_in(module, kind)


def choices_in(module: ModuleType, kind: type[Choice]) -> Iterator[Found]:
    """The choices of a kind that are defined in a module, not imported by it."""
    for value in vars(module).values():
        is_ours = isinstance(value, type) and issubclass(value, kind) and value.__module__ == module.__name__
        if is_ours and isinstance(name := value.model_fields["name"].default, str):
            if missing := sorted(value.__abstractmethods__):
                raise ImportError(f"{module.__file__}: the {kind.noun} {name} does not define {', '.join(missing)}")
            yield Found(name, value, module)


def records_in(module: ModuleType, kind: type[Record]) -> Iterator[Found]:
    """The records of a kind that a module's variables hold, alone or in a tuple."""
    for variable in vars(module).values():
        for value in variable if isinstance(variable, tuple) else (variable,):
            if isinstance(value, kind):
                yield Found(value.name, value, module)


@cache
def plugin_modules() -> tuple[ModuleType, ...]:
    """The modules of all plugins; one that cannot be imported is named in a line of standard error, and left out."""
    found: list[ModuleType] = []
    for plugin in sorted(entry_points(group=GROUP)):
        try:
            found += modules_of(plugin)
        except Exception as error:  # whatever somebody else's code raises, ours goes on without it
            print(
                one_line(
                    f"warning: plugin {plugin.name} ({plugin.value}) cannot be imported "
                    f"({type(error).__name__}: {error}); its choices are not known."
                ),
                file=sys.stderr,
            )
    return tuple(found)


def modules_of(plugin: EntryPoint) -> list[ModuleType]:
    module = import_module(plugin.module)
    below = list(modules_in(plugin.module)) if hasattr(module, "__path__") else []
    return [module, *below]
