"""The order of class names, and the classes that a split has no image of."""

import numpy as np
import pytest

from genlib.data.classes import class_order, warn_of_missing_classes


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


def test_classes_without_images_are_counted_and_the_first_of_them_named(caplog):
    names = [f"c{number}" for number in range(9)]
    warn_of_missing_classes(names, {"train": np.array([0, 1]), "test": np.arange(8)}, "some/folder")
    train, test = caplog.messages
    assert train.startswith("7 of the 9 classes of some/folder have no train image (c2, c3, c4, c5, c6, ...)")
    assert test.startswith("1 of the 9 classes of some/folder have no test image (c8)")


def test_splits_that_have_every_class_or_no_labels_are_not_mentioned(caplog):
    warn_of_missing_classes(["a", "b"], {"train": np.array([1, 0]), "test": None}, "some/folder")
    assert not caplog.messages
