from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command_line_imports_nothing_heavy(command: Command) -> None:
    done = command("pipelines", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "pipelines.environment" in imported
    assert not imported & {"torch", "prefect", "mlflow", "pandas", "datasets", "genlib.sampling"}
    for name in ("run", "promote", "rollback", "compare", "sync", "demo", "ui"):
        assert f"\n    {name}" in done.stdout


@pytest.mark.parametrize(
    ("name", "variable", "address"),
    [
        ("run", "PREFECT_API_URL", "http://127.0.0.1:1/api"),
        ("demo", "PREFECT_API_URL", "http://127.0.0.1:1/api"),
        ("compare", "MLFLOW_TRACKING_URI", "http://127.0.0.1:1"),
        ("sync", "MLFLOW_TRACKING_URI", "http://127.0.0.1:1"),
    ],
)
def test_an_unreachable_server_is_one_line_before_any_work(
    command: Command, tiny: Callable[..., list[str]], name: str, variable: str, address: str
) -> None:
    arguments = {"run": tiny("vae"), "demo": [], "compare": ["vae-digits"], "sync": []}[name]
    done = command("pipelines", name, *arguments, **{variable: address})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {variable} ({address}) cannot be reached")
    assert done.stderr.count("\n") == 1


def test_bad_configuration_is_one_line(command: Command, tiny: Callable[..., list[str]]) -> None:
    done = command("pipelines", "run", *tiny("vae", "training.stepz=1"))
    assert done.returncode == 2
    assert "unknown key 'training.stepz', did you mean 'steps'?" in done.stderr
    assert done.stderr.count("\n") == 1
