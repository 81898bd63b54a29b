"""Which choices there are: those in the kinds' own packages, and those of plugins.

A plugin is an installed package that declares an entry point of the group `genlib.plugins`, whose value names a module
or package of its own. Every choice that is defined there, or in a module directly below, is known like our own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import getsourcefile
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

from genlib.choices.choice import Choice
from genlib.errors import UserError, one_line

GROUP = "genlib.plugins"
SETTINGS = "config"  # module of a choice that is a folder: its settings
Kind = TypeVar("Kind", bound=Choice)


@cache
def choices_of_kind(kind: type[Kind]) -> dict[str, type[Kind]]:
    """The choices of a kind by their names, our own first, in the order of their names.

    ImportError for a file of the kind's package that declares none. UserError for two of the same name.
    """
    found: dict[str, type[Kind]] = {}
    own = [choice for module in modules_in(kind.folder) for choice in declared(module, kind)]
    others = [choice for module in plugin_modules() for choice in defined_in(module, kind)]
    for choice in (*sorted(own, key=name_of), *sorted(others, key=name_of)):
        name = name_of(choice)
        if name in found:
            raise UserError(
                f"two {kind.kind} choices are called '{name}': {getsourcefile(found[name])} and "
                f"{getsourcefile(choice)}; rename or remove one of them."
            )
        found[name] = choice
    return found


def name_of(choice: type[Choice]) -> str:
    return str(choice.model_fields["name"].default)


def modules_in(package: str) -> Iterator[ModuleType]:
    """The modules directly in a package; of a folder the module that holds its settings."""
    spec = find_spec(package)
    for found in iter_modules(spec.submodule_search_locations if spec else ()):
        if not found.name.startswith("_"):
            name = f"{package}.{found.name}"
            settings = f"{name}.{SETTINGS}"
            yield import_module(settings if found.ispkg and find_spec(settings) else name)


def declared(module: ModuleType, kind: type[Kind]) -> list[type[Kind]]:
    """The choices that one of our own modules defines; ImportError where there is none."""
    found = list(defined_in(module, kind))
    if not found:
        raise ImportError(
            f"{module.__file__} lies where every file declares a {kind.kind}, and declares none: a class derived from "
            f"{kind.__name__}, with a default for its `name`"
        )
    return found


def defined_in(module: ModuleType, kind: type[Kind]) -> Iterator[type[Kind]]:
    """The choices of a kind that are defined in a module, not imported by it."""
    for value in vars(module).values():
        is_ours = isinstance(value, type) and issubclass(value, kind) and value.__module__ == module.__name__
        if is_ours and isinstance(value.model_fields["name"].default, str):
            yield value


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


def origin_of(choice: type[Choice]) -> str:
    """Where a choice comes from: "genlib", or the top package of a plugin."""
    top = choice.__module__.partition(".")[0]
    return "genlib" if top in ("genlib", "pipelines") else top
