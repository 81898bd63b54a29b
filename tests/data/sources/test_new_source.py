"""A source is one file, here a plugin's: prepared, trained on, gone on with, evaluated and sampled from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from genlib.choices import discovery
from genlib.choices.discovery import origin_of
from genlib.config.run import RunConfig
from genlib.data.config import DataConfig
from genlib.data.making.prepare import prepare
from genlib.data.sources import built_in_names, point_set_of, source_of
from genlib.errors import UserError
from genlib.evaluation.evaluate import evaluate
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.storage.files import read_json
from genlib.training.train import train
from tests.conftest import PROJECT

SPIRALS = '''
"""Two arms of a spiral, with noise."""

from genlib.data.sources import SourceOfPoints


def spirals():
    import numpy as np

    from genlib.data.reading.points import circle, noisy_curves

    arms = [lambda t: circle(t) * t[:, None] / 3, lambda t: -circle(t) * t[:, None] / 3]
    return noisy_curves(arms, np.pi / 2, 3 * np.pi, std=0.1)


SOURCE = SourceOfPoints(name="spirals", description="two arms of a spiral", point_set=spirals)
'''
ARCHIVES = '''
"""NumPy archives of images."""

from pathlib import Path

from genlib.data.reading.base import ImageSource, RawDataset, Rows
from genlib.data.sources import SourceOfImages
from genlib.storage.files import sha256_of_file


class Archive(ImageSource):
    def __init__(self, path):
        self.path, self.name = path, path.stem
        self.identity = {"archive": sha256_of_file(path)}

    def read(self, config, scratch):
        import numpy as np

        from genlib.data.reading.splits import choose

        with np.load(self.path) as arrays:
            splits = {name: (name, arrays[f"x_{name}"], arrays[f"y_{name}"]) for name in ("train", "test")}
        train, test = choose(splits, config)
        names = [str(label) for label in range(train[2].max() + 1)]
        return RawDataset(rows_of(*train), test and rows_of(*test), names)


def rows_of(split, images, labels):
    return Rows(split, range(len(images)), lambda numbers: [images[number] for number in numbers], labels)


SOURCE = SourceOfImages(
    name="archive",
    description="an .npz file with the arrays x_train, y_train, x_test and y_test",
    opened_by=lambda config, cache, progress: Archive(Path(config.source)),
    answers_to=lambda source: source.endswith(".npz"),
)
'''
NOTHING_HEAVY = """
import sys
from genlib.config.run import RunConfig
from genlib.data.config import DataConfig
assert DataConfig(source="spirals").is_points and not DataConfig(source=sys.argv[1]).is_points
heavy = {"torch", "numpy", "scipy", "datasets", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> Path:
    """A folder with an installed package of two sources."""
    folder = tmp_path_factory.mktemp("site")
    package, described = folder / "more_sources", folder / "more_sources-1.0.dist-info"
    package.mkdir()
    for name, text in {"__init__": "", "spirals": SPIRALS, "archives": ARCHIVES}.items():
        (package / f"{name}.py").write_text(text)
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: more-sources\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[{discovery.GROUP}]\nsources = more_sources\n")
    return folder


@pytest.fixture
def installed(plugin, monkeypatch):
    monkeypatch.syspath_prepend(plugin)
    forget()
    yield plugin
    for name in [name for name in sys.modules if name.partition(".")[0] == "more_sources"]:
        del sys.modules[name]
    forget()


def forget():
    discovery.found_of_kind.cache_clear()
    discovery.plugin_modules.cache_clear()


@pytest.fixture
def archive(tmp_path) -> tuple[Path, dict[str, np.ndarray]]:
    """Images of three classes in colour, and the arrays."""
    stream = np.random.RandomState(0)
    arrays = {}
    for split, count in (("train", 240), ("test", 120)):
        arrays[f"x_{split}"] = stream.randint(0, 256, (count, 8, 8, 3)).astype(np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % 3
    np.savez(tmp_path / "shapes.npz", **arrays)
    return tmp_path / "shapes.npz", arrays


def run_config(data, features, metric) -> RunConfig:
    often = {"steps": 4, "log_every": 1, "sample_every": 4, "checkpoint_every": 2}
    return RunConfig.model_validate(
        {
            "data": data,
            "method": {"name": "vae", "network": {"name": "mlp", "hidden_sizes": [16]}, "latent_size": 2},
            "training": {"batch_size": 16, "ema_half_life": 32, "device": "cpu", **often},
            "evaluation": {"features": features, "samples": 100},
            "registry": {"model": "new", "metric": metric, "margin": 0.0},
        }
    )


def trained_evaluated_and_gone_on_with(config, folder) -> RunFolder:
    """A run whose last steps, done again after a stop, give the same weights."""
    run, again = RunFolder(folder / "run"), RunFolder(folder / "again")
    assert train(config, run.path) == 0
    shutil.copytree(run.path, again.path)
    shutil.rmtree(again.checkpoints / "step-00000004")
    again.result_file.unlink()
    assert train(config, again.path) == 0
    weights, those = (load_file(each.checkpoints / "step-00000004" / "method.safetensors") for each in (run, again))
    assert weights.keys() == those.keys() and all(torch.equal(weights[name], those[name]) for name in weights)
    evaluate(run)
    return run


def test_a_new_set_of_points_is_trained_on_evaluated_against_its_density_and_sampled(installed, home, tmp_path):
    assert source_of("spirals").is_points and origin_of(source_of("spirals")) == "more_sources"
    config = run_config({"source": "spirals", "points": 200}, "points", "energy_distance")
    run = trained_evaluated_and_gone_on_with(config, tmp_path)
    assert {"energy_distance", "log_density"} <= read_json(run.evaluation_file)["metrics"].keys()
    assert load_sampler(run.sampler).images(5, seed=1).shape == (5, 2)
    dataset = prepare(config.data)
    assert dataset.path.name.startswith("spirals-") and dataset.manifest.label_names == ["0", "1"]
    assert point_set_of("spirals").log_density(dataset.images("test").astype(np.float64)).mean() > -4


def test_a_new_kind_of_file_is_prepared_trained_on_evaluated_and_sampled(installed, home, tmp_path, archive):
    file, arrays = archive
    config = run_config({"source": str(file), "image_size": 8, "channels": 3}, "random", "fd_random")
    dataset = prepare(config.data)
    np.testing.assert_array_equal(dataset.images("train"), arrays["x_train"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(dataset.labels("test"), arrays["y_test"])
    run = trained_evaluated_and_gone_on_with(config, tmp_path)
    assert "fd_random" in read_json(run.evaluation_file)["metrics"]
    assert load_sampler(run.sampler).images(5, seed=1).shape == (5, 3, 8, 8)


def test_a_key_that_means_nothing_for_a_new_source_is_refused(installed, home, archive):
    with pytest.raises(UserError, match=r"data.subset is 'small', but \S+ has none; set data.subset=null"):
        prepare(DataConfig(source=str(archive[0]), subset="small"))


def test_a_configuration_that_names_new_sources_loads_nothing_heavy(plugin, archive):
    environment = os.environ | {"PYTHONPATH": str(plugin)}
    program = [sys.executable, "-c", NOTHING_HEAVY, str(archive[0])]
    subprocess.run(program, check=True, cwd=PROJECT, env=environment)


def test_two_sources_that_answer_to_the_same_are_both_named(plugin, monkeypatch, installed, archive):
    (plugin / "more_sources" / "twice.py").write_text(ARCHIVES.replace('"archive"', '"second"'))
    try:
        with pytest.raises(UserError, match=r"shapes\.npz is claimed by the sources archive and second"):
            source_of(str(archive[0]))
    finally:
        (plugin / "more_sources" / "twice.py").unlink()


def test_without_its_plugin_a_source_is_refused_with_those_that_are_there(home):
    assert "spirals" not in built_in_names()
    with pytest.raises(UserError, match="spirals is no known set of points; .* name one of .*ring8"):
        point_set_of("spirals")
