"""Which files of the project a model takes along."""

from __future__ import annotations

import ast

from pipelines.serving.packaging import BY_NAME, PACKAGE, file_of, modules_needed


def names_needed(module: str) -> set[str]:
    return {file.relative_to(PACKAGE).as_posix() for file in modules_needed(module)}


def test_a_module_needs_what_it_imports_and_its_parents() -> None:
    assert names_needed("genlib.losses.gaussians") == {"__init__.py", "losses/__init__.py", "losses/gaussians.py"}
    assert "losses/penalties/__init__.py" in names_needed("genlib.methods.gan.method")
    assert modules_needed("torch") == set()


def test_packages_whose_modules_are_found_by_name_come_whole() -> None:
    for package in BY_NAME:
        file = file_of(package)
        assert file is not None
        assert set(file.parent.glob("*.py")) <= modules_needed(package)
        assert set(file.parent.glob("*.py")) <= modules_needed("genlib.sampling.load")


def test_every_module_of_the_sampler_that_imports_by_name_is_a_package_that_comes_whole() -> None:
    for file in modules_needed("genlib.sampling.load"):
        called = {node.func.id for node in ast.walk(ast.parse(file.read_text())) if is_named_call(node)}
        if "import_module" in called:
            assert file in {file_of(package) for package in BY_NAME}


def is_named_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
