from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from genlib.errors import UserError
from pipelines import __main__
from pipelines.commands import flows, registry

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_command_line_imports_nothing_heavy(command: Command) -> None:
    done = command("pipelines", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "pipelines.commands" in imported
    assert not imported & {"torch", "prefect", "mlflow", "pandas", "datasets", "pydantic", "pipelines.servers.local"}
    for name in ("run", "promote", "rollback", "compare", "sync", "demo", "ui", "relocate"):
        assert f"\n    {name}" in done.stdout
    assert "\n    compare" in command("genlib", "--help").stdout


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("genlib.cli.command.find_spec", lambda package: None)
    assert __main__.main(["compare", "any"]) == 2
    said = capsys.readouterr().err
    assert said.endswith("which is not installed; pip install 'genlib[pipelines]'\n") and said.count("\n") == 1
    assert __main__.main(["run", "vae_digits"]) == 2


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


@pytest.mark.parametrize(
    ("error", "name", "code"),
    [
        (MlflowException("away\nwith a long story"), "MLflow (https://me:***@mlflow.example)", 1),
        (OperationalError("SELECT 1", {}, Exception("disk image is malformed")), "MLflow's database (https://me", 1),
        (httpx.ConnectError("away"), "Prefect's server ()", 1),
        (UserError("a value, the need and the remedy"), "a value", 2),
    ],
)
def test_what_a_service_refuses_in_the_middle_of_a_command_is_one_line(
    error: Exception, name: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(registry, "connect", fail)
    assert __main__.main(["compare", "any"]) == code
    said = capsys.readouterr().err
    assert said.startswith(f"error: {name}") and said.count("\n") == 1 and "long story" not in said
    monkeypatch.setattr(registry, "connect", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a fault of our own keeps its traceback
        __main__.main(["compare", "any"])


def test_a_run_folder_that_cannot_be_used_is_refused_before_any_server_is_asked(
    tiny: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.png").write_bytes(b"")
    monkeypatch.setattr(flows, "run_flows", pytest.fail)
    assert __main__.main(["run", *tiny("vae"), "--run-dir", str(tmp_path)]) == 2
    assert "is no run folder, but holds photo.png" in capsys.readouterr().err


def test_bad_configuration_is_one_line(command: Command, tiny: Callable[..., list[str]]) -> None:
    done = command("pipelines", "run", *tiny("vae", "training.stepz=1"))
    assert done.returncode == 2
    assert "unknown key 'training.stepz', did you mean 'steps'?" in done.stderr
    assert done.stderr.count("\n") == 1
