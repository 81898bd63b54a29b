"""The rules that keep the house in order."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from genlib.choices.discovery import choices_of_kind
from genlib.methods import MethodConfig
from tests.conftest import PROJECT


def imported_modules(path, at_run_time=False):
    """The modules that a file imports; those for annotations alone are left out of those at run time."""
    waiting = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if at_run_time and isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_genlib_imports_neither_prefect_nor_mlflow_nor_the_pipelines():
    for path in (PROJECT / "genlib").rglob("*.py"):
        tops = {module.split(".")[0] for module in imported_modules(path)}
        assert not tops & {"prefect", "mlflow", "pipelines"}, path


ROOMS = [  # from the top down; a module belongs to the room with the longest name that it begins with
    "cli",
    "evaluation",
    "training",
    "runs",
    "data",
    "data.making",
    "sampling",
    "config",
    "data.config",
    "data.sources",
    "data.reading",
    "data.folder",
    "methods",
    "augmentation",
    "models",
    "networks",
    "losses",
    "layers",
    "conditions",
    "contexts",
    "choices",
    "pixels",
    "runtime",
    "storage",
    "errors",
]


ROOMS_OF_PIPELINES = [
    "__main__",
    "commands",
    "deploying",
    "flows",
    "registry",
    "serving",
    "tracking",
    "servers",
    "launchers",
    "launching",
    "text",
]


def room_of(module, package, rooms):
    if not module.startswith(f"{package}."):
        return None
    inside = f"{module.removeprefix(f'{package}.')}."
    return max((room for room in rooms if inside.startswith(f"{room}.")), key=len, default=None)


@pytest.mark.parametrize(("package", "rooms"), [("genlib", ROOMS), ("pipelines", ROOMS_OF_PIPELINES)])
def test_imports_inside_a_package_go_down_only(package, rooms):
    placed = 0
    for path in (PROJECT / package).rglob("*.py"):
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        if room := room_of(name, package, rooms):
            above, placed = rooms[: rooms.index(room)], placed + 1
            imports = imported_modules(path, at_run_time=True)
            imported = {module for module in imports if room_of(module, package, rooms) in above}
            assert not imported, f"{path} imports {imported}, which stand above it"
    assert placed > 40


def test_the_training_loop_names_no_variant():
    for path in (PROJECT / "genlib" / "training").glob("*.py"):
        assert not re.search(r"\b(vae|gan|dcgan|generator_loss|discriminator|encoder\b\.)", path.read_text(), re.I), (
            path
        )


def test_the_configuration_and_the_help_need_no_torch():
    heavy = "{'torch', 'datasets', 'numpy', 'prefect', 'mlflow', 'psutil'}"
    for light in ("genlib.config.load; genlib.config.load.load_config('vae_digits')", "genlib.cli.training"):
        program = f"import sys, {light}; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)


def test_the_list_of_commands_imports_no_command():
    program = "import sys, genlib.cli as cli; cli.parser(['--help'], 'genlib', cli.COMMANDS); "
    heavy = "{'pydantic', 'yaml', 'prefect', 'mlflow'}"
    program += f"assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)


def code_of(path):
    """A file's syntax tree without docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0].value = ast.Constant(None)
    return list(ast.walk(tree))


def test_no_family_is_named_outside_its_folder():
    families = choices_of_kind(MethodConfig)
    classes = {family.__name__ for family in families.values()}
    homes = tuple(f"{family.__module__.removesuffix('.config')}." for family in families.values())
    for path in [*(PROJECT / "genlib").rglob("*.py"), *(PROJECT / "pipelines").rglob("*.py")]:
        module = f"{'.'.join(path.relative_to(PROJECT).with_suffix('').parts)}."
        others = tuple(home for home in homes if not module.startswith(home))
        imported = {name for name in imported_modules(path) if f"{name}.".startswith(others)}
        assert not imported, f"{path} imports {imported}"
        if not module.startswith(homes):
            code = code_of(path)
            found = {node.value for node in code if isinstance(node, ast.Constant)} & set(families)
            found |= {node.id for node in code if isinstance(node, ast.Name)} & classes
            assert not found, f"{path} names {found}"
