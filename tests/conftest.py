"""What several tests share: a home of their own, small configurations, and the commands as a user calls them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.folders import CONFIGS, PROJECT

__all__ = ["CONFIGS", "DEVICES", "FILES", "FIXTURES", "PROJECT"]

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test reaches for the network
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny networks are faster so, also beside other work
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else trainings under a suite that nohup started would ignore it too

FIXTURES = PROJECT / "tests" / "fixtures"

# Overrides that make a shipped configuration train in about a second.
TINY = {
    "vae": ["method.network.hidden_sizes=[16]", "method.latent_size=4"],
    "gan": ["method.network.width=4", "method.latent_size=8", "method.discriminator_steps=2"],
}
FILES = {"vae": CONFIGS / "vae_digits.yaml", "gan": CONFIGS / "dcgan_digits.yaml"}


# Parameters of tests that a GPU must pass too; `pytest -m gpu` runs what needs one.
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none. The slowest files come first, so that no process is left with one of
    them when the others are done.
    """
    if for_gpus := [item for item in items if item.get_closest_marker("gpu")]:
        import torch

        if not torch.cuda.is_available():
            for item in for_gpus:
                item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))
    minutes: dict[Path, float] = {}
    for item in items:
        if marker := item.get_closest_marker("slow"):
            minutes[item.path] = max(minutes.get(item.path, 0), marker.kwargs.get("minutes", 1))
    items.sort(key=lambda item: -minutes.get(item.path, 0))


@pytest.fixture(autouse=True)
def exact_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, kernels that repeat themselves bit for bit, in whole float32: Adam makes a full step of a gradient that
    is rounding alone, such as that of a bias before batch norm.
    """
    if request.node.get_closest_marker("gpu"):
        import torch

        monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="session")
def genlib_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One GENLIB_HOME for the whole session, so that the digits are prepared once."""
    home = tmp_path_factory.mktemp("home")
    os.environ["GENLIB_HOME"] = str(home)
    return home


@pytest.fixture
def tiny() -> Callable[..., list[str]]:
    """The arguments CONFIG --set ... of a tiny run of "vae" or "gan"."""

    def arguments(method: str, *overrides: str) -> list[str]:
        quick = ["training.batch_size=16", "training.steps=10", "evaluation.every=null"]
        whole = any(override.startswith("method.network=") for override in overrides)
        small = [setting for setting in TINY[method] if not (whole and setting.startswith("method.network."))]
        settings = [*small, *quick, *overrides]
        return [str(FILES[method]), *(argument for setting in settings for argument in ("--set", setting))]

    return arguments


@pytest.fixture
def command(genlib_home: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m MODULE ARGUMENTS` from the project's folder; its output is in the result."""

    def run(module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=PROJECT,
            env=os.environ | {"GENLIB_HOME": str(genlib_home)} | environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run
