"""GPUs are taken by locks, which need no GPU to be there."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from genlib.errors import UserError
from pipelines.launching import devices
from pipelines.launching.job import visible_gpus


@pytest.fixture(autouse=True)
def waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often somebody waits, by what for."""
    waited: list[str] = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    monkeypatch.setattr(devices, "LOCKS", tmp_path / "locks")
    monkeypatch.setattr(devices, "INTERVAL", 0.05)
    monkeypatch.setattr(devices, "show", lambda state: waited.append(state.name))
    return waited


def test_each_training_sees_gpus_of_its_own() -> None:
    with devices.gpus(1) as first, devices.gpus(1) as second:
        assert (first, second) == ({"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "GPU-5"})
    with devices.gpus(2) as both:
        assert both == {"CUDA_VISIBLE_DEVICES": "3,GPU-5"}


def test_a_training_waits_until_enough_are_free_and_takes_none_meanwhile(
    waited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = ExitStack()
    stack.enter_context(devices.gpus(1))

    def nap(seconds: float) -> None:
        with devices.gpus(1) as other:  # the one that it waits beside is free for others
            assert other == {"CUDA_VISIBLE_DEVICES": "GPU-5"}
        stack.close()

    monkeypatch.setattr(devices.time, "sleep", nap)
    with devices.gpus(2) as both:
        assert both == {"CUDA_VISIBLE_DEVICES": "3,GPU-5"}
    assert waited == ["AwaitingDevices", "Running"]


def test_a_gpu_is_taken_as_long_as_a_process_of_its_training_lives() -> None:
    with devices.gpus(1):
        process = subprocess.Popen(["sleep", "60"], close_fds=False)
    with devices.gpus(1) as other:
        assert other == {"CUDA_VISIBLE_DEVICES": "GPU-5"}
    process.kill()
    process.wait()
    with devices.gpus(1) as free:
        assert free == {"CUDA_VISIBLE_DEVICES": "3"}


def test_more_gpus_than_there_are_is_an_error_and_no_endless_wait() -> None:
    with pytest.raises(UserError, match="training.processes is 3, but 2 GPUs are visible"), devices.gpus(3):
        pass


def test_locks_are_everybodys() -> None:
    with devices.gpus(1):
        assert devices.locks_folder().stat().st_mode & 0o7777 == 0o1777
        assert (devices.locks_folder() / "3.lock").stat().st_mode & 0o777 == 0o666


def test_locks_lie_elsewhere_where_their_folder_cannot_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "LOCKS", Path("/proc/genlib"))
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    assert devices.locks_folder() == tmp_path / "genlib"
    monkeypatch.setenv("GENLIB_GPU_LOCKS", "/proc/other")
    with pytest.raises(UserError, match="cannot be written to /proc/other"):
        devices.locks_folder()


def test_gpus_have_one_name_however_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-aa'; echo '1, GPU-bb'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-aa")
    assert visible_gpus() == ["GPU-bb", "GPU-aa"]
