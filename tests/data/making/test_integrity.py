"""Whether a dataset folder still holds what it was made of."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from genlib.data.folder import DatasetFolder, open_dataset
from genlib.data.making import integrity
from genlib.data.making.integrity import STAMP, check_contents
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.data.examples import hub_folder


@pytest.fixture
def dataset(home, config, tmp_path) -> DatasetFolder:
    folder, _ = hub_folder(tmp_path / "flowers")
    return prepare(config(folder))


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that were hashed."""
    names, sha256 = [], integrity.sha256_of_file

    def note(file):
        names.append(file.name)
        return sha256(file)

    monkeypatch.setattr(integrity, "sha256_of_file", note)
    return names


ARRAYS = ["test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"]


def flip_a_bit(file):
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_files_are_hashed_at_first_and_no_more_while_they_stay_as_they_are(dataset, hashed):
    check_contents(dataset)
    assert hashed == ARRAYS
    hashed.clear()
    check_contents(dataset)
    check_contents(open_dataset(dataset.path))
    assert hashed == []


def test_a_file_that_was_touched_is_hashed_again_and_found_whole(dataset, hashed):
    check_contents(dataset)
    hashed.clear()
    os.utime(dataset.path / "train_images.npy", (1e9, 1e9))
    check_contents(dataset)
    assert "train_images.npy" in hashed
    hashed.clear()
    check_contents(dataset)
    assert hashed == []


@pytest.mark.parametrize("checked_before", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_a_flipped_bit_is_refused_each_time(dataset, name, checked_before):
    if checked_before:
        check_contents(dataset)
    flip_a_bit(dataset.path / name)
    for _ in range(2):
        with pytest.raises(UserError, match=rf"has changed .*{dataset.manifest.content_hash[:12]}\); delete it"):
            check_contents(dataset)
    flip_a_bit(dataset.path / name)
    check_contents(dataset)


def test_another_file_of_the_same_size_and_time_in_its_place_is_refused(dataset):
    check_contents(dataset)
    file = dataset.path / "train_labels.npy"
    stat = file.stat()
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    flip_a_bit(copy)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    os.replace(copy, file)
    with pytest.raises(UserError, match="has changed since it was made"):
        check_contents(dataset)


def test_an_array_that_came_in_addition_is_refused(dataset):
    check_contents(dataset)
    np.save(dataset.path / "extra_images.npy", np.zeros(3))
    with pytest.raises(UserError, match="has changed since it was made"):
        check_contents(dataset)


@pytest.mark.parametrize("name", ARRAYS)
def test_a_file_that_has_vanished_is_refused(dataset, name):
    check_contents(dataset)
    (dataset.path / name).unlink()
    with pytest.raises(UserError, match="genlib prepare CONFIG"):
        check_contents(dataset)


def test_a_folder_that_has_vanished_is_refused(dataset):
    check_contents(dataset)
    shutil.rmtree(dataset.path)
    with pytest.raises(UserError, match="genlib prepare CONFIG"):
        check_contents(dataset)


def test_a_file_that_vanishes_while_it_is_hashed_is_refused(dataset, monkeypatch):
    def vanish(file):
        file.unlink(missing_ok=True)
        return file.read_bytes()

    monkeypatch.setattr(integrity, "sha256_of_file", vanish)
    with pytest.raises(UserError, match="cannot be read \\(No such file or directory\\)"):
        check_contents(dataset)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_note_of_what_was_found_is_made_anew(dataset, hashed, content):
    (dataset.path / STAMP).write_text(content)
    for expected in (ARRAYS, []):
        hashed.clear()
        check_contents(dataset)
        assert hashed == expected


@pytest.fixture
def read_only(dataset):
    """The same in a folder that nobody can write to; no mode keeps root out, but a mount does."""
    folder = str(dataset.path)
    if os.geteuid() != 0:
        dataset.path.chmod(0o500)
        yield dataset
        dataset.path.chmod(0o700)
    elif subprocess.run(["mount", "--bind", folder, folder], capture_output=True).returncode:
        pytest.skip("making a folder read-only for root needs the right to mount")
    else:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield dataset
        subprocess.run(["umount", folder], check=True)


def test_a_read_only_folder_is_hashed_each_time_and_passes(read_only, hashed):
    for _ in range(2):
        hashed.clear()
        check_contents(read_only)
        assert hashed == ARRAYS
    assert not (read_only.path / STAMP).exists()
