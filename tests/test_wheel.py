"""The wheel in an environment of its own, used from an empty folder: nothing looks for the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CONFIGS, PROJECT

pytestmark = [pytest.mark.slow(minutes=4), pytest.mark.long, pytest.mark.timeout(900)]

SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "genlib", "pipelines", "configs")
BRIEF = {
    "training.steps": "4",
    "training.batch_size": "32",
    "evaluation.every": "null",
    "evaluation.samples": "70",
    "evaluation.seeds": "1",
    "evaluation.likelihood_samples": "2",
    "evaluation.features": "random",
    "registry.metric": "fd_random",
}
SET = [word for key, value in BRIEF.items() for word in ("--set", f"{key}={value}")]
# Writes down what a process opens or lists in the checkout, but for the packages that the environment borrows from it.
WATCH = """
import os, sys
project, packages, log = {project!r}, {packages!r}, {log!r}
def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir", "os.chdir") and isinstance(arguments[0], (str, bytes)):
        path = os.fsdecode(arguments[0])
        if path.startswith(project) and not path.startswith(packages) and path != log:
            with open(log, "a") as file:
                file.write(f"{{event}} {{path}}\\n")
sys.addaudithook(watch)
"""


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and sees the packages of ours."""

    wheel: Path
    environment: Path
    folder: Path  # where commands run; empty at first
    log: Path

    def run(self, *words: str, **variables: str) -> str:
        """The standard output of a command of the environment; it must succeed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GENLIB"))}
        path = f"{self.environment / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            [self.environment / "bin" / words[0], *words[1:]],
            cwd=self.folder,
            env=inherited | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    source, environment, log = folder / "source", folder / "environment", folder / "opened.txt"
    source.mkdir()
    for name in filter(lambda name: (PROJECT / name).exists(), SOURCES):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, source / name)

    def python(*words: object) -> None:
        subprocess.run([sys.executable, "-m", *map(str, words)], check=True, capture_output=True, cwd=folder)

    python("pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", source)
    (wheel,) = (folder / "dist").glob("*.whl")
    python("venv", "--without-pip", environment)
    python("pip", "--python", environment, "install", "--quiet", "--no-deps", wheel)
    shutil.rmtree(source)
    (packages,) = environment.glob("lib/python*/site-packages")
    ours = sysconfig.get_paths()["purelib"]
    (packages / "borrowed.pth").write_text(f"{ours}\n")  # its own .pth files, and so our checkout, are not read
    (packages / "sitecustomize.py").write_text(WATCH.format(project=str(PROJECT), packages=sys.prefix, log=str(log)))
    (folder / "empty").mkdir()
    return Installed(wheel, environment, folder / "empty", log)


def test_the_wheel_holds_what_is_read_at_run_time_and_no_tests(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert {f"genlib/configs/{file.name}" for file in CONFIGS.glob("*.yaml")} <= names
    assert {"genlib/py.typed", "pipelines/py.typed"} <= names
    assert {"pipelines/deploying/job-template.json", "pipelines/launching/slurm.sh"} <= names
    modules = {
        file.relative_to(PROJECT).as_posix()
        for room in ("genlib", "pipelines")
        for file in (PROJECT / room).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert not [name for name in names if name.startswith(("tests", "configs", "infra"))]


def test_a_configuration_is_listed_and_trained_by_its_name_from_an_empty_folder(installed: Installed) -> None:
    assert len(installed.run("genlib", "configs").splitlines()) == len(list(CONFIGS.glob("*.yaml")))
    assert "\n    compare" in installed.run("genlib", "--help")
    installed.run("genlib", "train", "gan-two-moons", "--run-dir", "run", "--set", "training.steps=4")
    installed.run("genlib", "sample", "run", "--count", "5", "--output", "points.npz")
    assert (installed.folder / ".genlib" / "data").is_dir()
    assert (installed.folder / "points.npz").exists()


DRAW = """
import mlflow
model = mlflow.pyfunc.load_model("models:/vae-digits@champion")
shape = model.predict({"count": [3]}, params={"seed": 1}).shape
import genlib  # the copy that the model brings
print(shape, "site-packages" not in genlib.__file__)
"""


def test_the_flow_registers_a_model_that_is_served(installed: Installed) -> None:
    said = installed.run("genlib", "run", "vae_digits", *SET)
    assert "vae-digits version 1" in said
    home = installed.folder / ".genlib"
    (ledger,) = home.glob("runs/*/tracking.json")
    tags = json.loads(ledger.read_text())["tags"]
    assert tags["git.commit"] == tags["constraints_hash"] == "unknown"
    database = {"MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
    assert installed.run("python", "-c", DRAW, **database) == "(3, 1, 8, 8) True\n"
    assert "champion" in installed.run("genlib", "compare", "vae-digits")
    assert not installed.log.exists(), installed.log.read_text()


@pytest.mark.servers
def test_deployments_are_made_from_the_wheel(installed: Installed) -> None:
    from tests.cluster.cluster import Cluster

    with Cluster.started("sqlite") as cluster:
        said = installed.run("genlib", "deploy", **cluster.environment)
        assert "deployment retrain/vae-digits: made" in said
        deployed = cluster.post("/deployments/filter", limit=200)
        assert len(deployed) == 2 * len(list(CONFIGS.glob("*.yaml")))
    assert not installed.log.exists(), installed.log.read_text()
