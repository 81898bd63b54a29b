"""Parquet files as others write them: pandas' columns, images beside the table, and files that are damaged."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genlib.config.run import RunConfig
from genlib.data.making.prepare import prepare
from genlib.data.reading.local import LocalSource
from genlib.errors import UserError
from genlib.sampling.load import load_sampler
from genlib.training.train import train
from tests.data.examples import hub_folder, pictures, png
from tests.family import tiny_config

COUNT = 6


def written(file, kinds, images=None, notes=None):
    """A Parquet file of a column 'jpg' of images, by default of bytes, and a column 'kind' of labels."""
    content = list(map(png, pictures(COUNT))) if images is None else images
    columns = {"jpg": pa.array(content), "kind": kinds if isinstance(kinds, pa.Array) else pa.array(kinds)}
    table = pa.table(columns)
    if notes:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": notes}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


@pytest.fixture
def labels_of(home, config, tmp_path):
    """The names and the train labels of a Parquet file with these in its label column; test_kinds: another split's."""

    def prepared(kinds, test_kinds=None, notes=None):
        folder = tmp_path / "table"
        shutil.rmtree(folder, ignore_errors=True)
        written(folder / "train.parquet", kinds, notes=notes)
        if test_kinds is not None:
            written(folder / "test.parquet", test_kinds, notes=notes)
        split = "train" if test_kinds is None else "test"
        found = prepare(config(folder, image_column="jpg", label_column="kind", test_split=split))
        labels = [found.labels(part) for part in ("train", "test")]
        return found.manifest.label_names, *(part if part is None else part.tolist() for part in labels)

    return prepared


def categories(values):
    return pa.array(pd.Categorical(values))


def names_of(names):
    return {"jpg": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "names": names}}


@pytest.mark.parametrize(
    ("kinds", "names", "labels"),
    [
        (categories(["y", "x", "y", "x", "x", "y"]), ["x", "y"], [1, 0, 1, 0, 0, 1]),
        (categories(["10", "2", "10", "2", "2", "10"]), ["2", "10"], [1, 0, 1, 0, 0, 1]),
        (["10", "9", "word", "9", "9", "10"], ["9", "10", "word"], [1, 0, 2, 0, 0, 1]),
        ([5.0, 10.0, 5.0, 7.0, 7.0, 10.0], ["5", "7", "10"], [0, 2, 0, 1, 1, 2]),
        ([True, False, True, True, False, False], ["False", "True"], [1, 0, 1, 1, 0, 0]),
        (pa.array([3, 1, 3, 1, 1, 3], pa.uint8()), ["1", "3"], [1, 0, 1, 0, 0, 1]),
        (pa.array(["b", "a", "b", "a", "a", "b"], pa.large_string()), ["a", "b"], [1, 0, 1, 0, 0, 1]),
        ([-2, 4, -2, 4, 4, 4], ["-2", "4"], [0, 1, 0, 1, 1, 1]),
    ],
)
def test_categories_whole_floats_booleans_and_words_are_labels(labels_of, kinds, names, labels):
    assert labels_of(kinds) == (names, labels, labels)


@pytest.mark.parametrize(
    "withheld",
    [
        pa.nulls(COUNT),
        [None] * COUNT,
        [float("nan")] * COUNT,
        [-1] * COUNT,
        [-1.0, None, float("nan"), -1.0, -1.0, -1.0],
        pa.array([None] * COUNT, pa.int8()),
    ],
)
def test_a_split_whose_labels_are_all_null_or_minus_one_is_unlabelled_and_said_to_be(labels_of, withheld, caplog):
    kinds = [5, 7, 5, 7, 5, 7]
    assert labels_of(kinds, withheld) == (["5", "7"], [0, 1, 0, 1, 0, 1], None)
    assert "column 'kind' of split 'test'" in caplog.text and "taken as unlabelled" in caplog.text
    assert labels_of(withheld, kinds) == (["5", "7"], None, [0, 1, 0, 1, 0, 1])


def test_a_column_that_tells_no_label_at_all_gives_no_names(labels_of):
    assert labels_of(pa.nulls(COUNT), pa.nulls(COUNT)) == (None, None, None)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([0, None, 1, None, 0, 1], r"2 of 6 rows of column 'kind' of split 'train' .*no label .*row 1 the first"),
        ([1, -1, 1, -1, 1, -1], r"3 of 6 rows .*\(null, NaN or -1\), row 1 the first"),
        (["a", "b", None, "a", "b", "a"], r"1 of 6 rows .* row 2 the first"),
        ([1.0, 2.0, 0.5, 1.0, 1.0, 2.0], r"row 2 of column 'kind' of split 'train' .*holds 0.5.*label_column"),
        ([1.0, float("inf"), 1.0, 1.0, 1.0, 2.0], "row 1 .*holds inf, and labels are whole numbers"),
        (pa.array([[1]] * COUNT), "'kind' of .* is list.*; name a column of classes, whole numbers, booleans or words"),
    ],
)
def test_labels_with_gaps_and_numbers_that_are_not_whole_are_refused_by_row(labels_of, kinds, message):
    with pytest.raises(UserError, match=message):
        labels_of(kinds)


def test_class_names_that_are_numbers_in_the_file_are_strings_everywhere(labels_of):
    kinds = [0, 1, 2, 0, 1, 2]
    assert labels_of(kinds, notes=names_of([7, 8, 9])) == (["7", "8", "9"], kinds, kinds)
    notes = {"jpg": {"_type": "Image"}, "kind": {"_type": "ClassLabel", "num_classes": 3}}
    assert labels_of(kinds, notes=notes) == (["0", "1", "2"], kinds, kinds)


def test_classes_may_be_told_by_their_names_and_keep_the_file_s_order(labels_of):
    words = ["dog", "ant", "dog", "ant", "ant", "dog"]
    assert labels_of(words, notes=names_of(["dog", "ant"])) == (["dog", "ant"], [0, 1, 0, 1, 1, 0], [0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize(
    ("kinds", "names", "message"),
    [
        ([0, 1, 3, 0, 1, 2], ["a", "b", "c"], "row 2 .*has the label 3, which is none of its 3 classes"),
        ([7, 8, 7, 8, 7, 8], [7, 8], "row 0 .*has the label 7, which is none of its 2 classes"),
        ([-2, -2, -2, -2, -2, -2], ["a", "b"], "has the label -2"),
        ([0, 1, 0, 1, 0, 1], ["a", "a"], "two classes named 'a'"),
        ([0, 1, 0, 1, 0, 1], [1, "1"], "two classes named '1'"),
    ],
)
def test_labels_that_are_no_class_and_names_that_are_not_unique_are_refused(labels_of, kinds, names, message):
    with pytest.raises(UserError, match=message):
        labels_of(kinds, notes=names_of(names))


def test_one_parquet_file_of_any_name_in_a_folder_is_read_like_the_file_alone(home, config, tmp_path):
    kinds = categories(["y", "x", "y", "x", "x", "y"])
    file = written(tmp_path / "category" / "data.parquet", kinds)
    for source in (file, file.parent):
        found = prepare(config(source, image_column="jpg", label_column="kind", test_split="train"))
        assert found.manifest.label_names == ["x", "y"] and found.labels("train").tolist() == [1, 0, 1, 0, 0, 1]


@pytest.mark.parametrize(
    ("test_kinds", "test_notes", "message"),
    [
        (["a"] * COUNT, None, "'kind' of .* is int64 in split 'train', but string in split 'test'"),
        ([0, 1] * 3, names_of(["b", "a"]), "'kind' of .* is int64 in split 'train', but ClassLabel in split 'test'"),
        (None, None, "'kind' of .* is int64 in split 'train', but absent in split 'test'"),
    ],
)
def test_a_label_column_that_differs_between_splits_is_told_with_both_types(
    home, config, tmp_path, test_kinds, test_notes, message
):
    written(tmp_path / "table" / "train.parquet", [0, 1] * 3)
    test = written(tmp_path / "table" / "test.parquet", test_kinds or [0, 1] * 3, notes=test_notes)
    if test_kinds is None:
        pq.write_table(pq.read_table(test).drop_columns("kind"), test)
    with pytest.raises(UserError, match=message):
        prepare(config(tmp_path / "table", image_column="jpg", label_column="kind"))


def beside(folder, names):
    """A table whose images lie in files, which it names relative to itself."""
    images = pictures(COUNT)
    for name, image in zip(names, images, strict=True):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
        os.utime(file, (1e9, 1e9))
    cells = [{"bytes": None, "path": str(name)} for name in names]
    table = written(folder / "train.parquet", [0, 1] * 3, cells, names_of(["a", "b"]))
    os.utime(table, (1e9, 1e9))
    return table, images[:, None]


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize("where", ["", "images/", "../elsewhere/", ".hidden/"])
def test_images_that_a_table_names_are_read_relative_to_it(home, config, tmp_path, monkeypatch, where, as_folder):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "source"
    folder.mkdir()
    table, images = beside(folder, [f"{where}{number}.png" for number in range(COUNT)])
    found = prepare(config(folder if as_folder else table, test_split="train"))
    np.testing.assert_array_equal(found.images("train"), images)
    assert found.labels("train").tolist() == [0, 1] * 3


def test_images_that_a_table_names_by_absolute_paths_are_read_too(home, config, tmp_path):
    table, images = beside(tmp_path / "source", [tmp_path / "far" / f"{number}.png" for number in range(COUNT)])
    np.testing.assert_array_equal(prepare(config(table, test_split="train")).images("train"), images)


def test_images_that_a_column_of_text_names_are_read_and_belong_to_the_content(home, config, tmp_path):
    _, images = beside(tmp_path, [f"images/{number}.png" for number in range(COUNT)])
    cells = [f"images/{number}.png" for number in range(COUNT)]
    settings = config(written(tmp_path / "texts.parquet", [0, 1] * 3, cells, names_of(["a", "b"])), test_split="train")
    first = prepare(settings)
    np.testing.assert_array_equal(first.images("train"), images)
    (tmp_path / "images" / "0.png").write_bytes(png(255 - images[0, 0]))
    assert prepare(settings).path != first.path


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize("where", ["images/", "../elsewhere/"])
def test_what_a_table_names_belongs_to_the_content(home, config, tmp_path, where, as_folder):
    folder = tmp_path / "source"
    folder.mkdir()
    table, images = beside(folder, [f"{where}{number}.png" for number in range(COUNT)])
    settings = config(folder if as_folder else table, test_split="train")
    first = prepare(settings)
    assert prepare(settings).path == first.path
    changed = folder / f"{where}3.png"
    changed.write_bytes(png(255 - images[3, 0]))
    second = prepare(settings)
    assert second.path != first.path
    np.testing.assert_array_equal(second.images("train")[3], 255 - images[3])
    shutil.copytree(tmp_path / "source", tmp_path / "copied" / "source")
    if where.startswith(".."):
        shutil.copytree(tmp_path / "elsewhere", tmp_path / "copied" / "elsewhere")
    copy = tmp_path / "copied" / "source"
    assert prepare(config(copy if as_folder else copy / table.name, test_split="train")).path == second.path


def test_a_named_image_that_changes_while_it_is_read_is_noticed(home, config, tmp_path, monkeypatch):
    table, images = beside(tmp_path / "source", [f"../elsewhere/{number}.png" for number in range(COUNT)])
    read = LocalSource.read

    def read_and_change(self, settings, scratch):
        (tmp_path / "elsewhere" / "0.png").write_bytes(png(255 - images[0, 0]))
        return read(self, settings, scratch)

    monkeypatch.setattr(LocalSource, "read", read_and_change)
    with pytest.raises(UserError, match="changed while it was read"):
        prepare(config(table, test_split="train"))


def test_a_named_image_that_is_absent_is_a_row_that_cannot_be_read(home, config, tmp_path):
    folder = tmp_path / "source"
    table, _ = beside(folder, [f"{number}.png" for number in range(COUNT)])
    (folder / "2.png").unlink()
    with pytest.raises(UserError, match=r"row 2 of split 'train' .*source/2.png: No such file"):
        prepare(config(table, test_split="train"))
    found = prepare(config(table, test_split="train", on_corrupt="skip"))
    assert found.manifest.skipped["train"] == 1


def test_images_beside_a_table_that_it_does_not_name_are_left_out_aloud(home, config, tmp_path, caplog):
    folder = tmp_path / "source"
    beside(folder, [f"{number}.png" for number in range(COUNT)])
    shutil.copy(folder / "0.png", folder / "spare.png")
    assert prepare(config(folder, test_split="train")).manifest.counts["train"] == COUNT
    assert "files that no table names are left out, 1 in all (.png: 1): spare.png" in caplog.text


def test_tables_that_name_images_under_names_of_no_split_are_asked_to_say_which(home, config, tmp_path):
    table, _ = beside(tmp_path / "source", [f"{number}.png" for number in range(COUNT)])
    table.rename(table.with_name("all.parquet"))
    with pytest.raises(UserError, match="all.parquet does not say of which split; call it train.parquet"):
        prepare(config(table.parent, test_split="train"))


def test_images_in_bytes_and_images_in_files_go_together(home, config, tmp_path):
    images = pictures(COUNT)
    (tmp_path / "0.png").write_bytes(png(images[0]))
    cells = [{"bytes": None, "path": "0.png"}, *({"bytes": png(image), "path": "0.png"} for image in images[1:])]
    table = written(tmp_path / "mixed.parquet", [0, 1] * 3, cells)
    found = prepare(config(table, test_split="train", image_column="jpg"))
    np.testing.assert_array_equal(found.images("train")[:, 0], images)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "torn inside"])
def test_a_damaged_parquet_file_is_named(home, config, tmp_path, damage, alone):
    folder, _ = hub_folder(tmp_path / "flowers")
    file = folder / "test-00000-of-00001.parquet"
    content = file.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"no table at all, and longer than a footer",
        "truncated": content[: len(content) // 2],
        "torn inside": content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :],
    }[damage]
    file.write_bytes(damaged)
    settings = {"test_split": "train"} if alone else {}
    with pytest.raises(UserError, match="test-00000-of-00001.parquet cannot be read") as caught:
        prepare(config(file if alone else folder, **settings))
    assert "\n" not in str(caught.value)


def two_files(folder, first, second, notes=None, second_notes=None):
    written(folder / "train-00000-of-00002.parquet", first, notes=notes)
    written(folder / "train-00001-of-00002.parquet", second, notes=second_notes)
    return folder


def test_files_of_a_split_whose_types_differ_only_in_width_or_nulls_are_one_table(home, config, tmp_path):
    two_files(tmp_path / "table", [1, 2] * 3, [1.0, 3.0] * 3)
    found = prepare(config(tmp_path / "table", image_column="jpg", label_column="kind", test_split="train"))
    assert found.manifest.label_names == ["1", "2", "3"] and found.labels("train").tolist() == [0, 1] * 3 + [0, 2] * 3


@pytest.mark.parametrize(
    ("second", "notes", "second_notes", "message"),
    [
        (["a", "b"] * 3, None, None, "'kind' of .* is int64 in .*00000-of-00002.parquet, string in .*00001-of-00002"),
        ([0, 1] * 3, names_of(["a", "b"]), None, "'jpg' is Image in .*00000-of-00002.*absent|'kind' is ClassLabel in"),
        ([0, 1] * 3, names_of(["a", "b"]), names_of(["b", "a"]), "'kind' is of other names in .* than in .*00001-of"),
    ],
)
def test_files_of_a_split_that_differ_are_named(home, config, tmp_path, second, notes, second_notes, message):
    two_files(tmp_path / "table", [0, 1] * 3, second, notes, second_notes)
    with pytest.raises(UserError, match=message):
        prepare(config(tmp_path / "table", image_column="jpg", label_column="kind", test_split="train"))


README_WITH_TYPES = """---
dataset_info:
  features:
  - name: picture
    dtype: image
  - name: kind
    dtype:
      class_label:
        names:
          '0': 7
          '1': 8
          '2': 9
---
"""


def test_types_that_a_readme_gives_are_those_that_datasets_reads(home, config, tmp_path):
    folder, truth = hub_folder(tmp_path / "flowers")
    (folder / "README.md").write_text(README_WITH_TYPES)
    found = prepare(config(folder))
    assert found.manifest.label_names == ["7", "8", "9"]
    np.testing.assert_array_equal(found.images("train"), truth["train"][0])
    np.testing.assert_array_equal(found.labels("test"), truth["test"][1])


def test_a_sampler_of_classes_whose_names_are_numbers_is_read_back(home, tmp_path):
    folder = tmp_path / "table"
    for split in ("train", "test"):
        cells = [{"bytes": png(image), "path": None} for image in pictures(24)]
        written(folder / f"{split}.parquet", [0, 1, 2] * 8, cells, names_of([7, 8, 9]))
    content = tiny_config("cvae_digits").model_dump(mode="json")
    content["data"]["source"] = str(folder)
    assert train(RunConfig.model_validate(content), tmp_path / "run") == 0
    assert load_sampler(tmp_path / "run" / "sampler").label_names == ["7", "8", "9"]
