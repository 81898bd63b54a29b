"""The rules that keep the house in order."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

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
            yield node.module


def test_genlib_imports_neither_prefect_nor_mlflow_nor_the_pipelines():
    for path in (PROJECT / "genlib").rglob("*.py"):
        tops = {module.split(".")[0] for module in imported_modules(path)}
        assert not tops & {"prefect", "mlflow", "pipelines"}, path


def test_imports_inside_genlib_go_down_only():
    order = [
        "cli",
        "evaluation",
        "training",
        "runs",
        "data",
        "sampling",
        "config",
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
    for path in (PROJECT / "genlib").rglob("*.py"):
        part = path.relative_to(PROJECT / "genlib").parts[0].removesuffix(".py")
        if part in order:
            above = set(order[: order.index(part)])
            imports = {module.split(".")[1] for module in imported_modules(path, True) if module.startswith("genlib.")}
            assert not imports & above, f"{path} imports {imports & above}, which stand above it"


def test_the_training_loop_names_no_variant():
    for path in (PROJECT / "genlib" / "training").glob("*.py"):
        assert not re.search(r"\b(vae|gan|dcgan|generator_loss|discriminator|encoder\b\.)", path.read_text(), re.I), (
            path
        )


def test_the_configuration_and_the_help_need_no_torch():
    program = "import sys, genlib.cli; assert not {'torch', 'datasets', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PROJECT)
