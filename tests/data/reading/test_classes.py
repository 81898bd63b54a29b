"""Classes: the order of their names, their shares of a held-out split, and those that a split has no image of."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from genlib.data.making.prepare import prepare
from genlib.data.reading.base import Rows
from genlib.data.reading.classes import class_order, missing_classes
from genlib.data.reading.splits import held_out_count, hold_out
from tests.data.examples import pictures, png


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "2", "1", "10"], ["1", "2", "10"]),
        (["b", "10", "a", "9"], ["9", "10", "a", "b"]),
        (["0.5", "-1", "+3", "10", "1e1"], ["-1", "0.5", "+3", "10", "1e1"]),
        (["7", "007"], ["007", "7"]),
        (["inf", "nan", "²", "5"], ["5", "inf", "nan", "²"]),
        ([], []),
    ],
)
def test_names_that_are_numbers_stand_by_their_value_before_words(names, ordered):
    assert class_order(names) == ordered
    assert class_order(reversed(names)) == ordered


def test_classes_without_images_are_counted_and_the_first_of_them_named():
    names = [f"c{number}" for number in range(9)]
    train, test = missing_classes(names, {"train": np.array([0, 1]), "test": np.arange(8)}, "some/folder")
    assert train.startswith("7 of the 9 classes of some/folder have no train image (c2, c3, c4, c5, c6, ...)")
    assert test.startswith("1 of the 9 classes of some/folder have no test image (c8)")


def test_splits_that_have_every_class_or_no_labels_are_not_mentioned():
    assert missing_classes(["a", "b"], {"train": np.array([1, 0]), "test": None}, "some/folder") == []


def held_out(labels, fraction=0.1):
    """How many rows of each class are for training and for testing; the test rows."""
    rows = Rows("train", range(len(labels)), lambda numbers: [], np.array(labels))
    train, test = hold_out(rows, fraction)
    assert sorted([*train.numbers, *test.numbers]) == list(range(len(labels)))
    assert list(train.numbers) == sorted(train.numbers) and list(test.numbers) == sorted(test.numbers)
    np.testing.assert_array_equal(test.labels, np.array(labels)[test.numbers])
    counts = [np.bincount(part.labels, minlength=max(labels) + 1).tolist() for part in (train, test)]
    return *counts, test.numbers


@pytest.mark.parametrize(
    ("sizes", "fraction", "tested"),
    [
        ([30] * 10, 0.1, [3] * 10),
        ([500, 300, 200], 0.1, [50, 30, 20]),
        ([90, 2, 5, 3], 0.1, [7, 1, 1, 1]),  # one at least of each, and 10 in all
        ([200] + [1] * 20, 0.1, [22] + [0] * 20),  # a single image is for training
        ([2, 2, 2], 0.9, None),  # more than leaves each class one
        ([1] * 20, 0.1, None),
        ([40, 30, 20, 10], 0.02, [1, 1, 0, 0]),  # the largest classes where there are too few for all
    ],
)
def test_each_class_gives_its_share_and_one_image_at_least_where_it_has_two(sizes, fraction, tested):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()
    train, test, rows = held_out(labels, fraction)
    assert sum(test) == held_out_count(len(labels), fraction)
    assert tested is None or test == tested
    assert (train, test, rows) == held_out(labels, fraction)


def test_rows_without_labels_or_of_one_class_are_held_out_as_ever():
    order = np.random.RandomState(0).permutation(57)
    plain = Rows("train", range(57), lambda numbers: [], None)
    for rows in (plain, replace(plain, labels=np.zeros(57, np.int64))):
        train, test = hold_out(rows, 0.2)
        assert test.numbers == sorted(order[:11].tolist()) and train.numbers == sorted(order[11:].tolist())


def test_the_digits_own_split_is_the_one_that_results_were_made_with(home, config):
    rows = sorted(np.random.RandomState(0).permutation(1797)[:359])
    np.testing.assert_array_equal(prepare(config()).labels("test"), load_digits().target[rows])


def class_folders(folder, images):
    """A folder of images for each class."""
    for name, count in images.items():
        for number, image in enumerate(pictures(count)):
            file = folder / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(image))
    return folder


def test_folders_named_by_numbers_are_numbered_in_their_order(home, config, tmp_path):
    source = class_folders(tmp_path / "numbered", {str(number): 2 for number in range(1, 11)})
    found = prepare(config(source, test_split=None))
    assert found.manifest.label_names == [str(number) for number in range(1, 11)]
    counts = np.bincount(np.concatenate([found.labels("train"), found.labels("test")]))
    assert counts.tolist() == [2] * 10


def test_nested_folders_which_datasets_reads_are_numbered_likewise(home, config, tmp_path):
    source = class_folders(tmp_path / "nested", {"old/10": 2, "new/1": 3, "old/2": 4})
    found = prepare(config(source, test_split=None))
    assert found.manifest.label_names == ["1", "2", "10"]
    labels = np.concatenate([found.labels("train"), found.labels("test")])
    assert np.bincount(labels).tolist() == [3, 4, 2]


def test_rare_classes_are_trained_on_and_those_that_are_never_tested_are_counted(home, config, tmp_path, caplog):
    source = class_folders(tmp_path / "rare", {"a": 40} | {f"c{number:02}": 1 for number in range(20)})
    found = prepare(config(source, test_split=None))
    assert np.bincount(found.labels("train")).tolist() == [34] + [1] * 20 and found.labels("test").tolist() == [0] * 6
    assert "20 of the 21 classes of" in caplog.text and "no test image (c00, c01, c02, c03, c04, ...)" in caplog.text
    assert "train image" not in caplog.text


def test_a_class_whose_images_cannot_be_read_is_counted_as_never_trained(home, config, tmp_path, caplog):
    source = class_folders(tmp_path / "torn", {"a": 40, "b": 4})
    for file in (source / "b").iterdir():
        file.write_bytes(b"torn")
    prepare(config(source, test_split=None, on_corrupt="skip"))
    assert "1 of the 2 classes of" in caplog.text and "no train image (b)" in caplog.text
