"""The table of other projects' models, without any of the projects."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genlib.config.load import load_config
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import peer, peer_drivers, quality_peers
from tests.benchmarks.peer_drivers import Clock, Task, Trained
from tests.benchmarks.quality_peers import COMPARED, PEER_ROWS, PROJECTS, Peer
from tests.conftest import CONFIGS, PROJECT

TOLD = {"steps": 7, "images": 448, "seconds": 90.0, "images_per_second": 5.0, "samples": ["samples"]}


def test_every_row_has_a_driver_a_project_and_a_row_of_genlib_to_compare_with() -> None:
    assert len({row.row for row in PEER_ROWS}) == len(PEER_ROWS)
    for row in PEER_ROWS:
        assert row.driver in peer_drivers.DRIVERS and row.project in PROJECTS and row.beside in COMPARED
        assert load_config(row.configuration).evaluation.samples == 10_000
        assert row.minutes <= COMPARED[row.beside].minutes
        assert all("=" in setting for setting in row.settings)


def test_an_unknown_row_is_refused_before_any_work() -> None:
    with pytest.raises(SystemExit, match="'r3gan' is no row of quality_peers; known: .*r3gan_cifar10"):
        next(quality_peers.measure_quality_peers(["r3gan"]))


@pytest.mark.parametrize("there", ["", "empty"])
def test_a_row_whose_project_is_not_there_is_left_out_with_the_command_that_brings_it(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MNIST", str(tmp_path))
    monkeypatch.setenv("PEERS", str(tmp_path / there) if there else "")
    assert list(quality_peers.measure_quality_peers(["gans_pytorch_mnist"])) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gans_pytorch_mnist: left out, PEERS names no folder that holds gans-pytorch")
    assert "git clone https://github.com/xyfJASON/gans-pytorch && git -C gans-pytorch checkout 8ba548d" in line


def test_a_row_whose_package_cannot_be_installed_is_left_out(
    genlib_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(folder: Path) -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setenv("MNIST", str(tmp_path))
    monkeypatch.setattr(peer, "install", fails)
    assert list(quality_peers.measure_quality_peers(["pythae_vae_mnist"])) == []
    assert "pythae_vae_mnist: left out, pip could not install pythae" in capsys.readouterr().out


def test_a_row_without_its_data_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CIFAR10", raising=False)
    assert list(quality_peers.measure_quality_peers(["r3gan_cifar10"])) == []
    assert "r3gan_cifar10: left out, its data are not at hand" in capsys.readouterr().out


class Fakes:
    """A checkout of a project, a driver that writes samples, and an evaluation that gives numbers."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.driven: list[list[str]] = []
        self.evaluated: list[tuple[str, ...]] = []
        self.fails = False
        (folder / "peers" / "gans-pytorch").mkdir(parents=True)
        monkeypatch.setenv("PEERS", str(folder / "peers"))
        monkeypatch.setattr(quality_peers.subprocess, "run", self.run)
        monkeypatch.setattr(quality_peers, "genlib", self.genlib)
        monkeypatch.setattr(quality_peers, "git_state", lambda *_: {"git.commit": "abcdefgh", "git.dirty": "false"})
        monkeypatch.setattr(quality_peers, "state_of_code", lambda: "abcdefg")
        monkeypatch.setattr(benchmarks, "FOLDER", folder)
        row = Peer("fake", "gans-pytorch", "gans_pytorch", "a GAN", "dcgan_digits", 1.5, ("config=gan.yaml",))
        monkeypatch.setattr(quality_peers, "PEER_ROWS", (row,))
        ours: dict[str, Any] = {
            "row": "dcgan_digits",
            "configuration": "dcgan_digits",
            "overrides": [],
            "minutes": "1",
            "failed": {},
        }
        keys = ("worst", "floor", "baseline", "wanted", "reached")
        ours["metrics"] = [{"metric": "fd_classifier", "seeds": "0.3, 0.4"} | dict.fromkeys(keys, "")]
        kept = {"quality": {"machine": "m", "commit": "a", "figures": [ours | {"commit": "a"}]}}
        (folder / "RESULTS.json").write_text(json.dumps(kept))
        self.folder = folder

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "tests.benchmarks.peer_drivers" not in command:
            return subprocess.CompletedProcess(command, 0, "abc\n", "")
        self.driven.append(command)
        if self.fails:
            return subprocess.CompletedProcess(command, 1, "", f"Traceback\nValueError: {PROJECT}/x | y")
        return subprocess.CompletedProcess(command, 0, "noise\n" + json.dumps(TOLD) + "\n", "")

    def genlib(self, *arguments: str) -> None:
        self.evaluated.append(arguments)
        output = Path(arguments[arguments.index("--output") + 1])
        output.mkdir()
        entry = {"value": 0.51234, "floor": 0.1, "baseline": None, "std": 0.0}
        (output / "evaluation.json").write_text(json.dumps({"metrics": {"fd_classifier": entry}}))

    def measured(self) -> tuple[dict[str, Any], str]:
        benchmarks.main(["quality_peers", "fake"])
        (row,) = json.loads((self.folder / "RESULTS.json").read_text())["quality_peers"]["figures"]
        return row, (self.folder / "RESULTS.md").read_text()


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "home"))
    return Fakes(tmp_path, monkeypatch)


def test_what_a_driver_made_becomes_a_row_beside_genlibs_and_is_not_made_again(fakes: Fakes) -> None:
    row, page = fakes.measured()
    (command,) = fakes.driven
    assert (
        command[3] == "gans_pytorch" and command[6:8] == ["1.5", "359"] and command[-2:] == ["--set", "config=gan.yaml"]
    )
    assert np.load(command[5]).dtype == np.uint8
    (asked,) = fakes.evaluated
    assert asked[:2] == ("evaluate", "--images") and asked[2].endswith("samples.npy")
    assert asked[3:5] == ("--data", str(CONFIGS / "dcgan_digits.yaml"))
    assert row["metrics"] == [
        {"metric": "fd_classifier", "sampler": "samples", "value": "0.5123", "floor": "0.1", "baseline": "-"}
    ]
    assert row["minutes"] == "1.5" and row["steps"] == 7 and row["peer_commit"] == row["commit"] == "abcdefg"
    wanted = "fd_classifier | 0.5123 | `dcgan_digits` | 0.3, 0.4 | 0.1 | - | 1.5 | 7 | 5.0 | abcdefg; its abcdefg |"
    assert f"| **fake**: [a GAN](https://github.com/xyfJASON/gans-pytorch)<br>`config=gan.yaml` | {wanted}" in page
    assert fakes.measured()[0] == row
    assert len(fakes.driven) == len(fakes.evaluated) == 1


def test_a_driver_that_fails_is_a_row_that_says_why(fakes: Fakes) -> None:
    fakes.fails = True
    row, page = fakes.measured()
    assert row["failed"] == "gans_pytorch ended with 1: ValueError: ./x | y"
    assert "failed: gans_pytorch ended with 1: ValueError: ./x / y" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table if "fake" in line or "images/s" in line}) == 1
    fakes.fails = False
    assert fakes.measured()[0]["failed"] == "" and len(fakes.driven) == 2


def test_a_driver_writes_uint8_samples_and_tells_its_speed(tmp_path: Path) -> None:
    def fake(task: Task) -> Trained:
        def draw(count: int) -> torch.Tensor:
            return torch.linspace(-1.2, 1.0, count)[:, None, None, None].expand(-1, 1, 2, 2)

        return Trained(3, 300, 2.0, {"samples": draw})

    task = Task(tmp_path, torch.zeros(4, 1, 2, 2, dtype=torch.uint8), Clock(1), {})
    told = peer_drivers.drive(task, fake, 12, tmp_path / "out")
    images = np.load(tmp_path / "out" / "samples.npy")
    assert images.dtype == np.uint8 and images.shape == (12, 1, 2, 2)
    assert images[0].max() == 0 and images[-1].min() == 255
    assert told["steps"] == 3 and told["images_per_second"] == 150.0 and told["samples"] == ["samples"]


def test_batches_are_whole_of_all_images_and_mirrored_where_asked() -> None:
    images = torch.arange(40, dtype=torch.uint8).reshape(10, 1, 1, 4)
    plain = peer_drivers.batches(images, 5, mirror=False)
    epoch = torch.cat([next(plain), next(plain)]).add(1).mul(127.5).round()
    assert sorted(epoch.flatten().tolist()) == list(range(40))
    mirrored = torch.cat([next(peer_drivers.batches(images, 10, mirror=True)) for _ in range(9)])
    falling = (mirrored[..., 0] > mirrored[..., 3]).float().mean().item()
    assert 0.2 < falling < 0.8
