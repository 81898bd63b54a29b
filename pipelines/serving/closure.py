"""The source files that a sampler needs where the project is not installed, found in the source alone.

From the modules that the model's script names, and from those of the choices that the sampler's settings name, every
import is followed, those inside functions too, since they may come at the first request. Not followed are imports for
type checkers, and those of methods that the kinds of choices call `training_only`. Choices that nothing names are left
out: they are found by looking into their folder, and so are not known where they are not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, entry_points
from pathlib import Path

from genlib.choices.choice import Choice
from genlib.choices.discovery import GROUP, SETTINGS, choices_of_kind
from genlib.choices.section import Section

PACKAGE = "genlib"


def modules_needed(modules: Iterable[str], packages: Iterable[str] = (PACKAGE,)) -> dict[str, Path]:
    """The files, by dotted name, that these modules of `packages` read when they are imported and used for sampling."""
    roots = {package: folder_of(package) for package in packages}
    skipped = training_only()
    found: dict[str, Path] = {}
    waiting = list(modules)
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


def imports_of(node: ast.AST, skipped: Iterable[str]) -> Iterator[str]:
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


def training_only() -> Mapping[str, tuple[str, ...]]:
    """The names of methods that no sampler needs, by the module that defines them: of all kinds and their choices."""
    found: dict[str, tuple[str, ...]] = {}
    for kind in kinds_below(Choice):
        for choice in (kind, *choices_of_kind(kind).values()):
            for base in choice.__mro__:
                if issubclass(base, Section) and not issubclass(kind, base) or base is kind:
                    found[base.__module__] = kind.training_only
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


def plugin_of(module: str) -> tuple[Distribution, list[tuple[str, str]]] | None:
    """The distribution whose plugin a module belongs to, with its entry points (name, value); None for our own."""
    top = module.partition(".")[0]
    for entry in entry_points(group=GROUP):
        if entry.module.partition(".")[0] == top and entry.dist is not None:
            mine = [(other.name, other.value) for other in entry.dist.entry_points if other.group == GROUP]
            return entry.dist, mine
    return None
