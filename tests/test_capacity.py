"""What needs far more than this process may use is refused before any work, with the figures."""

from __future__ import annotations

import pytest

from genlib.config.load import load_config
from genlib.data.config import DataConfig
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from genlib.evaluation.preflight import check_memory
from genlib.runtime.capacity import free_memory, free_of_machine, limits_of_cgroups, refuse_beyond_memory, size
from tests.conftest import CONFIGS, FILES

GIB = 2**30


def test_the_free_memory_is_the_least_of_machine_and_control_groups(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 100 kB\nMemAvailable:   64 kB\nSwapFree: 6 kB\n")
    assert free_of_machine(meminfo) == 70 * 1024
    assert free_of_machine(tmp_path / "absent") > 2**20
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "memory.max").write_text("5000\n")
    (tmp_path / "root" / "a" / "b" / "memory.max").write_text("max\n")
    (tmp_path / "root" / "memory" / "c").mkdir(parents=True)
    (tmp_path / "root" / "memory" / "c" / "memory.limit_in_bytes").write_text("6000\n")
    (tmp_path / "cgroup").write_text("0::/a/b\n9:memory:/c\n8:cpu,cpuacct:/c\n")
    assert sorted(limits_of_cgroups(tmp_path / "cgroup", tmp_path / "root")) == [5000, 6000]
    assert limits_of_cgroups(tmp_path / "absent", tmp_path) == []
    assert 2**20 < free_memory() < 2**50


def test_only_what_is_far_beyond_the_free_memory_is_refused():
    needs = {"weights": 13 * GIB, "activations": GIB, "crumbs": 1}
    refuse_beyond_memory(needs, 10 * GIB, "make it smaller")
    with pytest.raises(UserError) as error:
        refuse_beyond_memory(needs, 9 * GIB, "make it smaller")
    expected = "this needs about 14.0 GiB of memory (weights 13.0 GiB, activations 1.0 GiB), and 9.0 GiB are free"
    assert str(error.value) == f"{expected}; make it smaller."


@pytest.mark.parametrize(
    ("count", "text"), [(12, "12 bytes"), (1536, "1.5 KiB"), (300 * 2**20, "300 MiB"), (2**62, "4,096 PiB")]
)
def test_bytes_are_told_in_the_unit_that_fits(count, text):
    assert size(count) == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataConfig(source="ring8", points=10**8), "lower data.points (100000000)"),
        (DataConfig(source="digits", stacked=10**8, image_size=128), "TiB on disk, and 1.0 GiB are free at"),
        (DataConfig(source="digits", scenes=10**8, image_size=128, channels=1), "lower data.scenes (100000000)"),
    ],
)
def test_data_that_the_disk_cannot_hold_are_refused_before_they_are_made(data, message, genlib_home, monkeypatch):
    usage = type("Usage", (), {"free": GIB})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(UserError) as error:
        prepare(data)
    assert message in str(error.value)
    assert not list((genlib_home / "data").glob("*.partial"))


def test_samples_that_memory_cannot_hold_are_refused(monkeypatch):
    monkeypatch.setattr("genlib.evaluation.preflight.free_memory", lambda: GIB)
    for path in sorted(CONFIGS.glob("*.yaml")):
        check_memory(load_config(path).evaluation)
    for override, remedy in (
        ("evaluation.samples=10000000", r"lower evaluation.samples \(10000000\)"),
        ("evaluation.every_samples=10000000", r"lower evaluation.every_samples \(10000000\)"),
        ("evaluation.likelihood_samples=1000000", r"lower evaluation.likelihood_samples \(1000000\)"),
    ):
        with pytest.raises(UserError, match=remedy):
            check_memory(load_config(FILES["vae"], [override]).evaluation)
