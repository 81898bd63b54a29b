"""The dataset folder: what is in it, when it is made again, and what interrupted or simultaneous calls leave."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from genlib.data.folder import open_dataset
from genlib.data.making import build
from genlib.data.making.prepare import newest_of_same_request, prepare
from genlib.data.reading import fingerprint, local
from genlib.data.reading.hub import HubSource
from genlib.data.reading.local import LocalSource
from genlib.data.sources.hub import HUB
from genlib.errors import UserError
from genlib.storage.files import read_json, write_json
from tests.data.examples import hub_folder, pictures, png, table
from tests.data.fake_hub import COMMIT


@pytest.fixture
def flowers(tmp_path):
    """A source whose files are older than the clock's tick."""
    folder, _ = hub_folder(tmp_path / "flowers")
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    return folder


@pytest.fixture
def no_work(monkeypatch):
    """Call it, and any later reading or decoding is an error."""

    def refuse(*_):
        raise AssertionError("work was done again")

    def forbid():
        monkeypatch.setattr(build, "build", refuse)
        monkeypatch.setattr(fingerprint, "sha256_of_file", refuse)

    return forbid


def visible(home):
    return [path.name for path in home.glob("[!.]*")]


def test_the_manifest_describes_the_arrays(home, config, flowers):
    asked = config(flowers, channels=3, image_size=16)
    folder = prepare(asked)
    manifest, images = folder.manifest, folder.images("train")
    assert images.shape == (12, 3, 16, 16) and images.dtype == np.uint8 and isinstance(images, np.memmap)
    np.testing.assert_allclose(manifest.mean, images.astype(np.float64).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(manifest.std, images.astype(np.float64).std((0, 2, 3)), rtol=1e-12)
    assert manifest.counts == {"train": 12, "test": 6} and manifest.skipped == {"train": 0, "test": 0}
    assert manifest.source == str(flowers) and manifest.request == asked.request
    assert manifest.versions.keys() >= {"genlib", "numpy", "pillow"}
    assert sorted(path.name for path in folder.path.iterdir()) == [
        *("manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy")
    ]
    assert open_dataset(folder.path).manifest == manifest


def test_a_folder_made_before_its_manifest_had_later_fields_still_opens(home, config, flowers):
    folder = prepare(config(flowers))
    content = json.loads((folder.path / "manifest.json").read_text())
    for later in ("scenes", "left_out", "warnings"):
        del content[later]
    (folder.path / "manifest.json").write_text(json.dumps(content))
    assert open_dataset(folder.path).manifest.warnings is None
    heard = []
    assert prepare(config(flowers), warn=heard.append).path == folder.path and not heard


def test_a_second_call_neither_reads_nor_decodes(home, config, flowers, no_work):
    first = prepare(config(flowers))
    no_work()
    assert prepare(config(flowers)).path == first.path


@pytest.mark.parametrize(("key", "value"), [("validation_fraction", 0.3), ("mirror", True)])
def test_what_is_of_the_training_leaves_the_folder_as_it_is(key, value, home, config, flowers, no_work):
    """Of a folder from before there was such a key, too."""
    first = prepare(config(flowers))
    assert key not in first.manifest.request
    no_work()
    assert prepare(config(flowers, **{key: value})).path == first.path


def test_a_file_that_has_just_changed_is_read_again(home, config, flowers, no_work):
    os.utime(flowers / "test-00000-of-00001.parquet")
    prepare(config(flowers))
    no_work()
    with pytest.raises(AssertionError, match="again"):
        prepare(config(flowers))


def test_the_same_content_elsewhere_is_the_same_folder(home, config, flowers, tmp_path, monkeypatch):
    first = prepare(config(flowers))
    shutil.copytree(flowers, tmp_path / "elsewhere" / "flowers")
    monkeypatch.setattr(build, "build", None)
    assert prepare(config(tmp_path / "elsewhere" / "flowers")).path == first.path


def test_changed_content_and_changed_settings_give_other_folders(home, config, flowers):
    first = prepare(config(flowers))
    assert prepare(config(flowers, test_split=None)).path != first.path
    file = flowers / "train-00000-of-00001.parquet"
    images = pictures(12, seed=9)
    table(map(png, images), np.arange(12) % 3).to_parquet(str(file))
    second = prepare(config(flowers))
    assert second.path != first.path and second.manifest.content_hash != first.manifest.content_hash
    np.testing.assert_array_equal(second.images("train")[:, 0], images)
    assert len(visible(home)) == 3


def test_a_held_out_split_is_the_same_each_time_and_shares_no_row(home, config, flowers):
    settings = {"source": flowers, "test_split": None, "test_fraction": 0.3}
    first = prepare(config(**settings))
    hash_of_first, rows = first.manifest.content_hash, [bytes(row) for row in first.images("train")]
    assert first.manifest.counts == {"train": 8, "test": 4}
    assert not set(rows) & {bytes(row) for row in first.images("test")}
    shutil.rmtree(first.path)
    assert prepare(config(**settings)).manifest.content_hash == hash_of_first


def with_corrupt_rows(folder, count=8, corrupt=(2, 5)):
    images = pictures(count)
    contents = [b"torn" if row in corrupt else png(image) for row, image in enumerate(images)]
    table(contents, np.arange(count) % 3).to_parquet(str(folder / "train.parquet"))
    return images


def test_a_corrupt_image_is_named_with_its_row(home, config, tmp_path):
    with_corrupt_rows(tmp_path / "torn")
    for settings in ({"test_split": "train"}, {"test_split": None}):  # rows are the source's, held out or not
        with pytest.raises(UserError, match=r"row 2 of split 'train' of .*torn.*on_corrupt=skip"):
            prepare(config(tmp_path / "torn", **settings))
    assert not visible(home)


def test_corrupt_images_are_left_out_and_counted_when_the_configuration_says_so(home, config, tmp_path):
    images = with_corrupt_rows(tmp_path / "torn")
    folder = prepare(config(tmp_path / "torn", test_split="train", on_corrupt="skip"))
    kept = [0, 1, 3, 4, 6, 7]
    np.testing.assert_array_equal(folder.images("train")[:, 0], images[kept])
    np.testing.assert_array_equal(folder.labels("train"), np.array(kept) % 3)
    assert folder.manifest.skipped == {"train": 2, "test": 2} and folder.manifest.counts["train"] == 6
    np.testing.assert_allclose(folder.manifest.mean, images[kept].mean())
    np.testing.assert_allclose(folder.manifest.std, images[kept].std())


def test_a_split_without_one_readable_image_is_refused(home, config, tmp_path):
    with_corrupt_rows(tmp_path / "torn", corrupt=range(8))
    with pytest.raises(UserError, match="no image of split 'train' .* can be read"):
        prepare(config(tmp_path / "torn", test_split="train", on_corrupt="skip"))


def test_a_source_that_changes_while_it_is_read_is_refused(home, config, flowers, monkeypatch):
    read = local.LocalSource.read

    def read_and_change(*arguments):
        (flowers / "late.txt").write_text("one more")
        return read(*arguments)

    monkeypatch.setattr(local.LocalSource, "read", read_and_change)
    with pytest.raises(UserError, match="changed while it was read"):
        prepare(config(flowers))
    assert not visible(home)


def test_a_full_disk_is_an_error_before_any_decoding(home, config, flowers, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match="no room for .* GiB .*No space left"):
        prepare(config(flowers))
    assert not list(home.glob(".*.partial"))


def test_links_are_followed_but_not_round_and_broken_ones_are_named(home, config, flowers, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for file in flowers.iterdir():
        (links / file.name).symlink_to(file)
    (links / "again").symlink_to(links)
    assert [file.name for file in fingerprint.list_files(links).files] == sorted(os.listdir(flowers))
    (links / "lost").symlink_to(tmp_path / "absent")
    with pytest.raises(UserError, match="links/lost cannot be read"):
        prepare(config(links))


def test_a_folder_that_is_not_whole_is_refused_with_its_remedy(home, config, flowers, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(UserError, match="not whole"):
        open_dataset(flowers)
    folder = prepare(config(flowers))
    np.save(folder.path / "test_images.npy", np.zeros((2, 1, 8, 8), np.uint8))
    for call in (lambda: open_dataset(folder.path), lambda: prepare(config(flowers))):
        with pytest.raises(UserError, match=r"not whole \(test images are uint8 \(2, 1, 8, 8\)\); delete it"):
            call()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_names": "abc"}, r"manifest.json.label_names: Input should be a valid array, not 'abc'"),
        ({"label_names": [7, 8, 9]}, r"manifest.json.label_names.0: Input should be a valid string, not 7"),
        ({"label_names": ["ant"]}, r"labels go to 2, but 1 classes have names"),
        ({"counts": {"train": "12", "test": 6}}, r"manifest.json.counts.train: .* integer, not '12'"),
        ({"counts": {"train": 12}}, "KeyError: 'test'"),
        ({"shape": None}, "manifest.json.shape: "),
        ({"request": []}, "manifest.json.request: "),
        ({"content_hash": 1}, "manifest.json.content_hash: "),
        ([], "manifest.json: Input should be an object"),
    ],
)
def test_a_damaged_manifest_is_named_with_what_is_wrong(home, config, flowers, changes, message):
    folder = prepare(config(flowers)).path
    content = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", content | changes if changes else changes)
    for call in (lambda: open_dataset(folder), lambda: prepare(config(flowers))):
        with pytest.raises(UserError, match=rf"is not whole \(.*{message}.*\); delete it and run") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_without_the_hub_the_newest_whole_folder_of_the_same_request_is_found(home, config, flowers, monkeypatch):
    asked = config("someone/flowers")
    monkeypatch.setattr("genlib.data.reading.hub.resolve_commit", lambda *_: COMMIT)
    monkeypatch.setattr(HubSource, "read", lambda *arguments: LocalSource(flowers, home, False).read(*arguments[1:]))
    made = prepare(asked)
    for name, content in {"damaged": "[]", "torn": "{"}.items():
        (home / name).mkdir()
        (home / name / "manifest.json").write_text(content)
    shutil.copytree(made.path, home / "flowers-000000000000")  # of the same settings, as another version made it
    assert newest_of_same_request(asked, home, HUB.remote).path == made.path
    shutil.rmtree(made.path)
    assert newest_of_same_request(asked, home, HUB.remote) is None
