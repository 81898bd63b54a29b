"""The recipes of CONTRIBUTING.md, each carried out from the page's code blocks in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow(minutes=4), pytest.mark.long, pytest.mark.timeout(900)]

PAGE = PROJECT / "CONTRIBUTING.md"
CODE = ("genlib", "pipelines", "configs", "pyproject.toml")
KINDS = {  # by the recipe's heading: the folder that its file lies in, and the line of `genlib methods` that names it
    "An adversarial loss": ("genlib/losses/adversarial", "loss.name: least_absolute"),
    "A penalty": ("genlib/losses/penalties", "penalty.name: score_drift"),
    "A network": ("genlib/networks", "network.name: layer_norm_mlp"),
    "A family": ("genlib/methods", "method.name: flow_matching"),
    "A condition": ("genlib/conditions", "condition.name: centre"),
    "A metric": ("genlib/evaluation/metrics", "feature_gap"),
    "A source of data": ("genlib/data/sources", "triangle"),
    "An extractor of features": ("genlib/evaluation/extractors", "features.name: pixels"),
    "A launcher": ("pipelines/launchers", "launcher.name: nice"),
}
QUICK = ("steps=4", "batch_size=16", "checkpoint_every=2", "keep_checkpoints=9", "sample_every=4", "device=cpu")
ON_DIGITS = (
    *("data.source=digits", "data.image_size=8", "data.channels=1", "method.solver_steps=4"),
    *("evaluation.features=random", "registry.metric=fd_random"),
)
# Trains, trains again from the checkpoint in the middle, and says whether the weights are equal; evaluates; draws.
PROGRAM = """
import shutil, sys
from pathlib import Path
from safetensors.torch import load_file
import torch
import genlib
from genlib.cli import main
from genlib.config.load import load_config
from genlib.config.reference import listing
from genlib.training.train import train

folder, config_file, name, *settings = sys.argv[1:]
assert Path(genlib.__file__).is_relative_to(Path.cwd()), genlib.__file__
assert name in listing(), name
config = load_config(Path(config_file), settings)
run, again = Path(folder) / "run", Path(folder) / "again"


def carried_out(run):
    if config.launcher.name == "process":
        return train(config, run)
    from pipelines.launching.job import train as launched

    return launched(config, run, {}, print).code


assert carried_out(run) == 0
shutil.copytree(run, again)
shutil.rmtree(again / "checkpoints" / "step-00000004")
shutil.rmtree(again / "sampler")
(again / "result.json").unlink()
assert carried_out(again) == 0
for part in ("checkpoints/step-00000004/method", "checkpoints/step-00000004/average", "sampler/weights"):
    first, second = (load_file(one / f"{part}.safetensors") for one in (run, again))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first), part
assert main(["evaluate", str(again)]) == 0
evaluation = (again / "evaluation.json").read_text()
assert f'"{config.registry.metric}"' in evaluation
if config.condition.name == "none":
    assert main(["sample", str(again), "--count", "4", "--output", str(again / "samples.npz")]) == 0
"""


class Recipe(NamedTuple):
    """The files that one section of the page adds, by their paths."""

    kind: str
    files: dict[str, str]

    @property
    def configuration(self) -> str:
        (found,) = [path for path in self.files if path.startswith("configs/")]
        return found

    @property
    def additions(self) -> set[str]:
        """The files and folders that are new in the kind's folder."""
        folder = KINDS[self.kind][0]
        others = [path for path in self.files if path != self.configuration]
        assert all(path.startswith(f"{folder}/") for path in others), others
        return {path.removeprefix(f"{folder}/").partition("/")[0] for path in others}


def recipes() -> dict[str, Recipe]:
    found = {}
    for section in PAGE.read_text().split("\n### ")[1:]:
        kind, _, text = section.partition("\n")
        blocks = re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", text, re.S | re.M)
        found[kind] = Recipe(kind, dict(blocks))
    return found


def test_the_page_has_a_recipe_for_each_kind_of_one_file_or_folder_and_one_configuration() -> None:
    assert recipes().keys() == KINDS.keys()
    for recipe in recipes().values():
        assert len(recipe.additions) == 1, recipe.kind
        assert not any((PROJECT / path).exists() for path in recipe.files), recipe.kind


def carry_out(recipe: Recipe, home: Path, folder: Path, *settings: str) -> None:
    copy = folder / "project"
    for part in CODE:
        source = PROJECT / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / part)
    for path, text in recipe.files.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(text)
    quick = [f"training.{setting}" for setting in QUICK]
    quick += ["evaluation.samples=128", "evaluation.seeds=2", "evaluation.likelihood_samples=4"]
    arguments = [recipe.configuration, KINDS[recipe.kind][1], *quick, *settings]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *arguments],
        cwd=copy,
        env=os.environ | {"GENLIB_HOME": str(home), "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_trains_resumes_evaluates_and_exports(kind: str, genlib_home: Path, tmp_path: Path) -> None:
    carry_out(recipes()[kind], genlib_home, tmp_path)


def test_the_family_of_the_recipe_learns_images_too(genlib_home: Path, tmp_path: Path) -> None:
    carry_out(recipes()["A family"], genlib_home, tmp_path, *ON_DIGITS)
