"""Every shipped configuration does what is common to all: a new YAML is tested as soon as it is there."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genlib.data.contexts import contexts_of
from genlib.data.making.prepare import prepare
from genlib.data.parts import whole_test_split
from genlib.runs.checkpoints import finished_checkpoints
from genlib.runs.folder import RunFolder
from genlib.sampling.load import load_sampler
from genlib.training.settle import settle, spec_of, train_batches
from genlib.training.train import train
from genlib.training.trained_model import load_model
from tests.conftest import PROJECT
from tests.family import NAMES, STEPS, tiny_config

pytestmark = pytest.mark.slow(minutes=5)

every_configuration = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def runs(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def trained(runs: Path, name: str) -> RunFolder:
    """The run of a configuration, trained by whoever asks first."""
    run = RunFolder(runs / name)
    if not run.result():
        train(tiny_config(name), run.path)
    return run


def weights_of(run: RunFolder, step: int = STEPS) -> dict[str, torch.Tensor]:
    folder = run.checkpoints / f"step-{step:08d}"
    return {
        f"{file} {key}": value
        for file in ("method", "average")
        for key, value in load_file(folder / f"{file}.safetensors").items()
    }


@every_configuration
def test_it_trains_with_finite_losses_and_samples_in_range(runs, name):
    run = trained(runs, name)
    assert run.result()["status"] == "finished"
    lines = run.metrics()
    assert len(lines) == STEPS and all(math.isfinite(value) for line in lines for value in line.values())
    shape = tuple(prepare(run.config().data).manifest.shape)
    contexts = contexts_of(whole_test_split(prepare(run.config().data)), binarize=False)
    sampler = load_sampler(run.sampler).bound_to(contexts)
    samples = sampler.images(5, seed=1)
    assert samples.shape == (5, *shape)
    assert samples.dtype == (torch.float32 if len(shape) == 1 else torch.uint8) and samples.float().isfinite().all()
    assert (run.samples / f"step-{STEPS:08d}.png").stat().st_size > 100


@every_configuration
def test_its_first_lines_are_its_command_and_its_source(name):
    command, source, *_ = (PROJECT / "configs" / f"{name}.yaml").read_text().splitlines()
    assert command == f"# genlib run configs/{name}.yaml"
    assert source.startswith("# ") and any(year in source for year in map(str, range(2006, 2027)))


@every_configuration
def test_each_phase_has_gradients_in_its_own_networks_and_in_no_other(genlib_home, name):
    torch.manual_seed(0)
    config = tiny_config(name)
    dataset = prepare(config.data)
    method = config.method.build(spec_of(dataset, config.condition)).train()
    batch = train_batches(dataset, torch.device("cpu"), False, method.model.sampler.condition)[0]
    batch = batch.map(lambda part: part[:12])  # whole packs
    method.begin_step(0)
    for phase in method.phases:
        method.requires_grad_(False)
        phase.trains.requires_grad_(True)
        method.loss(phase.name, batch)["total"].backward()
        own = set(phase.trains.parameters())
        with_gradients = {parameter for parameter in method.parameters() if parameter.grad is not None}
        assert with_gradients == own, phase.name
        method.zero_grad(set_to_none=True)


@every_configuration
def test_stopped_in_the_middle_it_ends_as_if_it_had_not_been(runs, tmp_path, name):
    whole = trained(runs, name)
    again = RunFolder(tmp_path / name)
    shutil.copytree(whole.path, again.path)
    shutil.rmtree(again.checkpoints / f"step-{STEPS:08d}")
    again.result_file.unlink()
    assert train(tiny_config(name), again.path) == 0
    expected, found = weights_of(whole), weights_of(again)
    assert expected.keys() == found.keys()
    different = [key for key in expected if not torch.equal(expected[key], found[key])]
    assert not different


@every_configuration
def test_exported_and_reloaded_it_gives_the_same_samples(runs, name):
    run = trained(runs, name)
    exported = load_sampler(run.sampler)
    config = run.config()
    model = load_model(run, finished_checkpoints(run.checkpoints)[-1])
    settle(model, prepare(config.data), config.data)
    noise = torch.randn(9, exported.latent_size, generator=torch.Generator().manual_seed(0))
    given = torch.arange(9) if exported.classes else None
    if exported.condition:
        given = exported.condition.taken(exported.condition.example()).expand(9, *exported.condition.shape)
    with torch.no_grad():
        torch.testing.assert_close(exported.module(noise, given), model.sampler(noise, given), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in NAMES if tiny_config(name).method.takes_labels])
def test_a_conditional_sampler_follows_its_label_and_its_seed(runs, name):
    sampler = load_sampler(trained(runs, name).sampler)
    noise = torch.randn(1, sampler.latent_size).expand(sampler.classes, -1)
    with torch.no_grad():
        images = sampler.module(noise, torch.arange(sampler.classes))
    assert all((images[0] - other).abs().max() > 1e-6 for other in images[1:])
    threes = torch.full((4,), 3)
    assert torch.equal(sampler.images(4, 0, labels=threes), sampler.images(4, 0, labels=threes))
    assert not torch.equal(sampler.images(4, 0, labels=threes), sampler.images(4, 1, labels=threes))


@pytest.fixture(scope="module")
def two_processes(genlib_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two gloo processes, one micro-batch each."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    command += ["--rdzv-endpoint=localhost:0", "-m", "tests.family", str(folder)]
    environment = os.environ | {"GENLIB_HOME": str(genlib_home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@every_configuration
def test_two_processes_are_one_with_two_micro_batches(runs, two_processes, name):
    one, two = weights_of(trained(runs, name)), weights_of(RunFolder(two_processes / name))
    for key, expected in one.items():
        if "running_" not in key and "num_batches" not in key:  # re-estimated where they are used
            torch.testing.assert_close(
                two[key], expected, atol=1e-4, rtol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
            )


def test_compiled_it_trains_the_same_model(runs, tmp_path):
    """Gradients of gradients included: the penalty is written with torch.func."""
    eager = trained(runs, "r3gan_ring8")
    config = tiny_config("r3gan_ring8")
    compiled = config.model_copy(update={"training": config.training.model_copy(update={"compile": True})})
    assert train(compiled, tmp_path / "compiled") == 0
    expected, found = weights_of(eager), weights_of(RunFolder(tmp_path / "compiled"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-5, rtol=1e-4)
