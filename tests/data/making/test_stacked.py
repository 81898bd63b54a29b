"""Stacked MNIST, of digits and of small folders."""

import itertools
import shutil

import numpy as np
import pytest

from genlib.data.folder import images_file
from genlib.data.making.derive import stacked_names
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.data.examples import hub_folder, image_folder, pictures, png, table


def rows_that_are(channel, grey):
    """For each image of a channel (N, S, S), the position of the grey image (M, S, S) that it is; -1 for none."""
    position = {bytes(image): row for row, image in enumerate(grey)}
    return np.array([position.get(bytes(image), -1) for image in channel])


@pytest.fixture
def digits(home, config):
    return prepare(config("digits"))


def test_each_channel_is_a_train_image_and_the_label_tells_all_three(home, config, digits):
    folder = prepare(config("digits", channels=3, stacked=3000))
    images, labels = folder.images("train"), folder.labels("train")
    assert images.shape == (3000, 3, 8, 8) and images.dtype == np.uint8
    assert folder.stacked and not digits.stacked and not folder.is_points
    rows = np.stack([rows_that_are(images[:, channel], digits.images("train")[:, 0]) for channel in range(3)])
    assert (rows >= 0).all()
    of_rows = digits.labels("train")[rows]
    np.testing.assert_array_equal(labels, 100 * of_rows[0] + 10 * of_rows[1] + of_rows[2])
    assert folder.manifest.label_names[labels[0]] == "".join(map(str, of_rows[:, 0]))
    assert len(folder.manifest.label_names) == 1000 and folder.manifest.label_names[314] == "314"
    assert len(np.unique(rows)) > 0.99 * (1 - np.exp(-9000 / 1438)) * 1438  # with replacement, from all rows
    assert abs(np.corrcoef(rows)[np.triu_indices(3, 1)]).max() < 0.08


def test_test_images_are_stacked_of_test_images_alone(home, config, digits):
    folder = prepare(config("digits", channels=3, stacked=50))
    assert folder.manifest.counts == {"train": 50, "test": 359}
    for channel in range(3):
        assert (rows_that_are(folder.images("test")[:, channel], digits.images("test")[:, 0]) >= 0).all()


def test_the_manifest_describes_the_stacked_images(home, config):
    manifest = (folder := prepare(config("digits", channels=3, stacked=50))).manifest
    images = folder.images("train").astype(np.float64)
    assert manifest.shape == [3, 8, 8] and manifest.request["stacked"] == 50
    np.testing.assert_allclose(manifest.mean, images.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(manifest.std, images.std((0, 2, 3)), rtol=1e-12)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        *("manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy")
    ]
    assert not list(home.glob(".*.scratch"))


def test_the_same_images_are_stacked_each_time_and_more_of_them_begin_alike(home, config):
    first = prepare(config("digits", channels=3, stacked=2500))
    images, content = first.images("train").copy(), first.manifest.content_hash
    assert first.labels("train")[:4].tolist() == [523, 871, 533, 747]  # raise FORMAT if others are drawn
    shutil.rmtree(first.path)
    assert prepare(config("digits", channels=3, stacked=2500)).manifest.content_hash == content
    more = prepare(config("digits", channels=3, stacked=2600))
    assert more.path != first.path
    np.testing.assert_array_equal(more.images("train")[:2500], images)


def test_names_longer_than_a_character_are_joined_with_dashes(home, config, tmp_path):
    source, truth = hub_folder(tmp_path / "flowers")
    folder = prepare(config(source, channels=3, stacked=20))
    names = ["ant", "bee", "cat"]
    assert folder.manifest.label_names == ["-".join(triple) for triple in itertools.product(names, names, names)]
    rows = [rows_that_are(folder.images("train")[:, channel], truth["train"][0][:, 0])[0] for channel in range(3)]
    label = folder.labels("train")[0]
    assert folder.manifest.label_names[label] == "-".join(names[truth["train"][1][row]] for row in rows)


def test_images_without_labels_are_stacked_without(home, config, tmp_path):
    source, _ = image_folder(tmp_path / "pets", classes=("",))
    folder = prepare(config(source, channels=3, stacked=4))
    assert folder.labels("train") is None and folder.manifest.label_names is None and folder.label_shares() is None


def test_corrupt_images_are_no_part_of_a_stack(home, config, tmp_path):
    images = pictures(6)
    contents = [b"torn" if row == 2 else png(image) for row, image in enumerate(images)]
    table(contents, np.arange(6) % 3).to_parquet(str(tmp_path / "torn" / "train.parquet"))
    settings = {"source": tmp_path / "torn", "test_split": "train", "channels": 3, "stacked": 64}
    with pytest.raises(UserError, match="row 2 of split 'train'"):
        prepare(config(**settings))
    folder = prepare(config(**settings, on_corrupt="skip"))
    assert folder.manifest.skipped == {"train": 1, "test": 1} and folder.manifest.counts == {"train": 64, "test": 5}
    rows = rows_that_are(folder.images("train").reshape(-1, 8, 8), images)
    assert set(rows) == {0, 1, 3, 4, 5}
    assert images_file(folder.path, "train").stat().st_size == 64 * 3 * 64 + 128


def test_too_many_classes_are_refused_before_any_decoding():
    with pytest.raises(UserError, match="makes 1030301 classes of the 101 of birds; stack images of 100 classes"):
        stacked_names([str(number) for number in range(101)], "birds")


def test_shares_are_of_the_labelled_train_images(home, config, digits):
    labels = digits.labels("train")
    np.testing.assert_allclose(digits.label_shares(), [(labels == digit).mean() for digit in range(10)])
    assert digits.unlabelled("train") == 0
    labels[:100], labels[labels == 9] = -1, 0
    np.save(digits.path / "train_labels.npy", labels)
    shares = digits.label_shares()
    assert len(shares) == 10 and shares[9] == 0 and sum(shares) == pytest.approx(1)
    assert shares[3] == pytest.approx((labels[100:] == 3).mean())
    assert digits.unlabelled("train") == 100 and digits.unlabelled("test") == 0
    np.save(digits.path / "train_labels.npy", np.full_like(labels, -1))
    assert digits.label_shares() is None
