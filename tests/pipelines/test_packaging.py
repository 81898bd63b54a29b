"""Which files of the project, and of plugins, a model takes along."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from genlib.config.load import load_config
from genlib.storage.files import write_json
from pipelines.serving.closure import imports_of, modules_needed
from pipelines.serving.packaging import copy_code

MOST_LINES, MOST_LINES_WITH_CONDITION = 3000, 3400  # a condition brings its own code, a U-Net and readers of pictures


def test_a_module_needs_what_it_imports_and_its_parents() -> None:
    assert set(modules_needed(["genlib.losses.gaussians"])) == {
        "genlib",
        "genlib.losses",
        "genlib.losses.gaussians",
    }
    assert "genlib.layers.augment" in modules_needed(["genlib.augmentation.ada.module"])
    assert modules_needed(["torch"]) == {}


def test_imports_for_type_checkers_and_of_methods_for_training_are_left_out() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a
else:
    import b
class Method:
    def build(self):
        from c import C
    def build_sampler(self):
        from d.e import F
        if True:
            import g
"""
    assert {"a", "c", "c.C"}.isdisjoint(found := set(imports_of(ast.parse(source), ("build",))))
    assert {"b", "d.e", "d.e.F", "g"} <= found


def test_a_folder_of_a_choice_comes_with_the_settings_that_declare_it() -> None:
    assert "genlib.networks.mlp.config" in modules_needed(["genlib.networks.mlp.modules"])


def test_a_model_carries_the_modules_it_needs_and_no_training_code(sampler_folder: Path, tmp_path: Path) -> None:
    (package,) = copy_code(sampler_folder, tmp_path / "code")
    names = {file.relative_to(package).as_posix() for file in package.rglob("*.py")}
    assert {"__init__.py", "sampling/load.py", "networks/mlp/modules.py", "methods/vae/config.py"} <= names
    rooms = ("training", "data", "evaluation", "cli", "runs", "augmentation")
    assert not {name for name in names if name.startswith(rooms)}
    assert not {"methods/vae/method.py", "methods/gan/config.py", "config/run.py", "config/launcher.py"} & names
    assert sum(len(file.read_text().splitlines()) for file in package.rglob("*.py")) <= MOST_LINES


@pytest.mark.parametrize("name", ["dcgan_digits", "hinge_csngan_cifar10", "r3gan_cifar10", "vae_gan_digits"])
def test_a_model_carries_few_lines(name: str, tmp_path: Path) -> None:
    assert lines_carried(name, tmp_path) <= MOST_LINES


@pytest.mark.parametrize("name", ["captions_digits", "inpainting_vae_digits", "super_resolution_gan_digits"])
def test_a_model_with_a_condition_carries_few_lines(name: str, tmp_path: Path) -> None:
    assert lines_carried(name, tmp_path) <= MOST_LINES_WITH_CONDITION


def lines_carried(name: str, folder: Path) -> int:
    """The lines of source that a registered model of a configuration takes along."""
    config = load_config(name)
    description = {"method": config.method.model_dump(), "condition": config.condition.model_dump()}
    unknown = {"image_shape": (1, 8, 8), "label_names": None, "info": {"weights_sha256": ""}}
    write_json(folder / "config.json", description | unknown)
    (package,) = copy_code(folder, folder / "code")
    return sum(len(file.read_text().splitlines()) for file in package.rglob("*.py"))


PLUGIN = {
    "ours_plugin/__init__.py": "",
    "ours_plugin/settings.py": '''
from typing import Literal
from genlib.networks.mlp.config import MLPConfig
class Ours(MLPConfig):
    """An MLP by another name."""
    name: Literal["ours"] = "ours"
    def generator(self, *arguments, **others):
        from ours_plugin.layers import same
        return same(super().generator(*arguments, **others))
''',
    "ours_plugin/layers.py": "def same(module):\n    return module\n",
    "ours_plugin-2.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: ours_plugin\nVersion: 2.0\n",
    "ours_plugin-2.0.dist-info/entry_points.txt": "[genlib.plugins]\nours = ours_plugin\n\n[other]\na = b\n",
}
PACK = """
import sys
from pathlib import Path
from genlib.config.load import load_config
from genlib.layers.base import DataSpec
from genlib.sampling.export import export_sampler
from genlib.sampling.sampler import TrainedSampler
from pipelines.serving.packaging import copy_code
import torch
folder = Path(sys.argv[1])
config = load_config("vae_digits", ["method.network={name: ours, hidden_sizes: [8]}", "method.latent_size=2"])
torch.manual_seed(0)
sampler = TrainedSampler(config.method.build(DataSpec((1, 8, 8))).model.sampler, (1, 8, 8))
export_sampler(folder / "sampler", sampler, config, None, {})
print([path.name for path in copy_code(folder / "sampler", folder / "code")])
"""
LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
import genlib, ours_plugin
assert genlib.__file__.startswith(sys.argv[1]) and ours_plugin.__file__.startswith(sys.argv[1])
from genlib.sampling.load import load_sampler
print(load_sampler(sys.argv[2]).images(3).shape)
"""


@pytest.mark.slow
def test_a_plugin_comes_along_and_is_found_where_neither_it_nor_the_project_is_installed(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    for name, text in PLUGIN.items():
        file = installed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    environment = {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}

    def python(program: str, *arguments: Path, **others: str) -> str:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        done = subprocess.run(command, env=environment | others, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = python(PACK, tmp_path)
    assert listed == "['genlib', 'ours_plugin', 'ours_plugin-2.0.dist-info']\n"
    code = tmp_path / "code"
    assert (code / "ours_plugin-2.0.dist-info" / "entry_points.txt").read_text() == (
        "[genlib.plugins]\nours = ours_plugin\n"
    )
    assert json.loads((tmp_path / "sampler" / "config.json").read_text())["method"]["network"]["name"] == "ours"
    assert python(LOAD, code, tmp_path / "sampler", PYTHONPATH="") == "torch.Size([3, 1, 8, 8])\n"
