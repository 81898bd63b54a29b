"""A folder that one process works in at a time."""

import errno
import os
import platform
import signal
import subprocess
import sys

import pytest
from filelock import FileLock

from genlib.errors import UserError
from genlib.storage import locks
from genlib.storage.locks import held
from tests.conftest import PROJECT

HOLDER = """
import sys
from pathlib import Path
from genlib.storage.locks import held

with held(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.2)


@pytest.fixture
def holder():
    """Another process that is at this work in the folder until its input ends."""
    begun = []

    def hold(folder, work):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), work],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in begun:
        process.kill()
        process.communicate()


def test_the_second_is_refused_with_the_owners_host_and_process_and_let_in_at_its_end(tmp_path, holder):
    owner = holder(tmp_path, "training")
    with pytest.raises(UserError) as refused, held(tmp_path, "training"):
        pass
    assert f"{tmp_path} is in use: process {owner.pid} on {platform.node()} has been at training" in str(refused.value)
    with held(tmp_path, "pipeline"):  # another work
        pass
    owner.communicate()
    assert owner.returncode == 0
    with held(tmp_path, "training"):
        pass


def test_a_killed_owners_lock_is_taken_over_and_its_name_with_it(tmp_path, holder):
    dead = holder(tmp_path, "training")
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    assert (tmp_path / ".training.owner.json").exists()  # what it left
    with held(tmp_path, "training"):
        assert f'"process": {os.getpid()}' in (tmp_path / ".training.owner.json").read_text()


def test_one_that_fails_gives_the_folder_back(tmp_path, monkeypatch):
    made = []  # a lock that is forgotten would be given back by the garbage collector
    monkeypatch.setattr(locks, "FileLock", lambda file: made.append(FileLock(file)) or made[-1])
    with pytest.raises(ZeroDivisionError), held(tmp_path, "training"):
        raise ZeroDivisionError
    assert not (tmp_path / ".training.owner.json").exists()
    with held(tmp_path, "training"), held(tmp_path, "pipeline"):
        pass


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"process": 1}'])
def test_the_second_is_refused_even_where_the_owner_left_no_name(tmp_path, content):
    file = tmp_path / ".training.owner.json"
    with held(tmp_path, "training"):
        file.unlink() if content is None else file.write_text(content)
        refused = pytest.raises(UserError, match="is in use: another process is at training there; wait")
        with refused, held(tmp_path, "training"):
            pass


def test_a_full_disk_takes_no_name_but_the_lock_holds(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(locks, "write_json", full)
    with held(tmp_path, "training"), pytest.raises(UserError, match="another process"), held(tmp_path, "training"):
        pass


@pytest.fixture
def read_only(tmp_path):
    """A folder that nobody can write to; no mode keeps root out, but a mount does."""
    folder = tmp_path / "folder"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
    elif subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("making a folder read-only for root needs the right to mount")
    else:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)


def test_a_folder_that_cannot_be_written_to_is_refused(read_only):
    refused = pytest.raises(UserError, match="folder cannot be written to .*; use a folder of your own")
    with refused, held(read_only, "training"):
        pass
