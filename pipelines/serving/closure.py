"""The source files that a sampler needs where the project is not installed, found in the source alone.

From the modules that the model's script names, and from those of the choices that the sampler's settings name, every
import is followed, those inside functions too, since they may come at the first request. Not followed are imports for
type checkers, those of methods that the kinds of choices call `training_only`, and those inside the functions of other
choices, such as defaults. Choices that nothing names are left out: they are found by looking into their folder, and so
are not known where they are not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterable, Iterator
from importlib.metadata import Distribution, entry_points
from pathlib import Path

from genlib.choices.choice import Choice
from genlib.choices.discovery import GROUP, SETTINGS, choices_of_kind
from genlib.choices.section import Section

PACKAGE = "genlib"


def modules_needed(
    modules: Iterable[str], chosen: Iterable[type[Choice]] = (), packages: Iterable[str] = (PACKAGE,)
) -> dict[str, Path]:
    """The files, by dotted name, that sampling reads of `packages`.

    Args:
        modules: Dotted names that are imported; those of other packages are passed over.
        chosen: The choices that the sampler's settings name.
        packages: The top packages whose files are copied.
    """
    roots = {package: folder_of(package) for package in packages}
    chosen = list(chosen)
    skipped = functions_passed_over(chosen)
    found: dict[str, Path] = {}
    waiting = [*modules, *(choice.__module__ for choice in chosen)]
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        file = file_of(name, roots[top]) if top in roots and name not in found else None
        if file is None:
            continue
        found[name] = file
        waiting.append(name.rpartition(".")[0])
        if file.name == "__init__.py" and name not in roots:
            waiting.append(f"{name}.{SETTINGS}")  # without its settings a folder of a choice declares none
        waiting += imports_of(ast.parse(file.read_text()), skipped.get(name, ()))
    return found


def imports_of(node: ast.AST, skipped: Container[str] = ()) -> Iterator[str]:
    """The dotted names that a piece of source may import, but for type checkers, and in functions of these names."""
    inside: Iterable[ast.AST] = ast.iter_child_nodes(node)
    match node:
        case ast.FunctionDef(name=name) if name in skipped:
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            inside = node.orelse
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(module=str(module)):
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
    for inner in inside:
        yield from imports_of(inner, skipped)


class Everything:
    """A container of all names."""

    def __contains__(self, name: object) -> bool:
        return True


def functions_passed_over(chosen: Iterable[type[Choice]]) -> dict[str, Container[str]]:
    """By module of a choice or kind, the names of functions whose imports a sampler of these choices does without."""
    used = {base for choice in chosen for base in choice.__mro__}
    found: dict[str, Container[str]] = {}
    for kind in kinds_below(Choice):
        for choice in (kind, *choices_of_kind(kind).values()):
            for base in choice.__mro__:
                if not issubclass(base, Section) or base in (Section, Choice):
                    continue
                if base in used:  # the kind, the choice, and sections that several choices share
                    found[base.__module__] = kind.training_only
                else:
                    found.setdefault(base.__module__, Everything())
    return found


def kinds_below(base: type[Choice]) -> Iterator[type[Choice]]:
    """The classes, derived from `base`, that say in which folder their choices lie."""
    for derived in base.__subclasses__():
        if "folder" in vars(derived):
            yield derived
        else:
            yield from kinds_below(derived)


def folder_of(package: str) -> Path:
    """The folder of a package that is imported."""
    __import__(package)
    return Path(str(sys.modules[package].__file__)).parent


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module, `root` being the folder of its top package; None for a name that is no module."""
    path = root.joinpath(*module.split(".")[1:])
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()), None)


def plugin_of(top: str) -> tuple[Distribution, list[tuple[str, str]]] | None:
    """The distribution whose plugin a top package is, with its entry points (name, value); None for our own."""
    for entry in entry_points(group=GROUP):
        if entry.module.partition(".")[0] == top and entry.dist is not None:
            mine = [(other.name, other.value) for other in entry.dist.entry_points if other.group == GROUP]
            return entry.dist, mine
    return None
