"""Every kind of source, and what is said about one that does not fit."""

import datasets
import numpy as np
import pytest

from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.data.examples import hub_folder, image_folder, pictures, png, table


def check(folder, truth, names):
    for split, (images, labels) in truth.items():
        np.testing.assert_array_equal(folder.images(split), images)
        if labels is None:
            assert folder.labels(split) is None
        else:
            np.testing.assert_array_equal(folder.labels(split), labels)
            assert folder.labels(split).dtype == np.int64
    assert folder.manifest.label_names == names


def test_digits_are_scikit_learn_s_own_split_once_and_for_all(home, config):
    from sklearn.datasets import load_digits

    folder = prepare(config())
    images = np.concatenate([folder.images("train"), folder.images("test")])[:, 0]
    labels = np.concatenate([folder.labels("train"), folder.labels("test")])
    assert folder.manifest.counts == {"train": 1438, "test": 359}
    truth = load_digits()
    scaled = np.rint(truth.images / 16 * 255)
    key = lambda image, label: (*image.ravel().astype(int).tolist(), int(label))  # noqa: E731
    assert sorted(map(key, images, labels)) == sorted(map(key, scaled, truth.target))
    assert images.min() == 0 and images.max() == 255
    assert folder.manifest.label_names == list("0123456789")
    assert np.bincount(folder.labels("test")).min() > 20
    np.testing.assert_array_equal(folder.images("train")[0, 0], scaled[0])  # in the source's order


def test_a_folder_in_the_hub_s_layout(home, config, tmp_path):
    source, truth = hub_folder(tmp_path / "flowers")
    folder = prepare(config(source))
    check(folder, truth, ["ant", "bee", "cat"])
    assert folder.path.parent == home and folder.path.name.startswith("flowers-")
    assert folder.manifest.shape == [1, 8, 8] and folder.manifest.revision is None


def test_one_parquet_file_is_the_train_split(home, config, tmp_path):
    source, truth = hub_folder(tmp_path / "flowers", train=20)
    file = source / "train-00000-of-00001.parquet"
    folder = prepare(config(file, test_split=None, test_fraction=0.25))
    assert folder.manifest.counts == {"train": 15, "test": 5}
    images = np.concatenate([folder.images("train"), folder.images("test")])
    assert sorted(map(bytes, images)) == sorted(map(bytes, truth["train"][0]))


@pytest.mark.parametrize("in_splits", [True, False])
def test_a_folder_that_save_to_disk_made(home, config, tmp_path, in_splits):
    images, labels = pictures(8), np.arange(8) % 3
    saved = table(map(png, images), labels)
    if in_splits:
        datasets.DatasetDict(train=saved, test=saved.select([5, 6])).save_to_disk(str(tmp_path / "saved"))
        folder = prepare(config(tmp_path / "saved"))
        truth = {"train": (images[:, None], labels), "test": (images[[5, 6], None], labels[[5, 6]])}
        check(folder, truth, ["ant", "bee", "cat"])
    else:
        saved.save_to_disk(str(tmp_path / "saved"))
        assert prepare(config(tmp_path / "saved", test_split=None)).manifest.counts == {"train": 7, "test": 1}


def test_an_image_folder_with_splits_and_classes(home, config, tmp_path):
    source, truth = image_folder(tmp_path / "pets")
    (source / "train" / "ant" / ".hidden").write_text("no image")
    (source / "train" / "notes.txt").write_text("no image")
    check(prepare(config(source)), truth, ["ant", "bee"])


def test_an_image_folder_of_classes_is_one_split(home, config, tmp_path):
    source, truth = image_folder(tmp_path / "pets", splits=("",))
    folder = prepare(config(source, test_split=None, test_fraction=0.5))
    labels = np.concatenate([folder.labels("train"), folder.labels("test")])
    assert sorted(labels) == truth[""][1].tolist() and folder.manifest.label_names == ["ant", "bee"]


def test_images_without_classes_have_no_labels(home, config, tmp_path):
    source, truth = image_folder(tmp_path / "pets", classes=("",))
    check(prepare(config(source)), {split: (images, None) for split, (images, _) in truth.items()}, None)


def test_a_corrupt_file_of_an_image_folder_is_named(home, config, tmp_path):
    source, _ = image_folder(tmp_path / "pets")
    (source / "test" / "bee" / "4.png").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"row 4 of split 'test' of .*\(.*pets/test/bee/4.png: no image format"):
        prepare(config(source))


@pytest.mark.parametrize(("make", "pattern"), [(image_folder, "{}/**"), (hub_folder, "{}-*")])
def test_what_is_read_directly_is_what_datasets_reads(home, config, tmp_path, make, pattern):
    source, _ = make(tmp_path / "source")
    ours = prepare(config(source))
    files = "".join(f"  - {{split: {split}, path: '{pattern.format(split)}'}}\n" for split in ("train", "test"))
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    (source / "README.md").write_text(card)  # so that `datasets` reads the folder
    theirs = prepare(config(source))
    assert ours.path != theirs.path
    for split in ("train", "test"):
        np.testing.assert_array_equal(ours.images(split), theirs.images(split))
        np.testing.assert_array_equal(ours.labels(split), theirs.labels(split))
    assert ours.manifest.label_names == theirs.manifest.label_names


def test_plain_bytes_and_whole_number_labels_serve_when_they_are_named(home, config, tmp_path):
    images = pictures(6)
    columns = {"data": [png(image) for image in images], "digit": [30, 10, 20, 30, 10, 20]}
    datasets.Dataset.from_dict(columns).to_parquet(str(tmp_path / "plain.parquet"))
    settings = {"source": tmp_path / "plain.parquet", "train_split": "train", "test_split": "train"}
    with pytest.raises(UserError, match=r"no image column \(columns: data: binary, digit: int64\).*image_column=data"):
        prepare(config(**settings))
    folder = prepare(config(**settings, image_column="data", label_column="digit"))
    check(folder, {"train": (images[:, None], [2, 0, 1, 2, 0, 1])}, ["10", "20", "30"])


def test_withheld_test_labels_are_no_labels_and_gaps_are_refused(home, config, tmp_path):
    images = list(map(png, pictures(3)))
    folders = {"withheld": [-1, -1, -1], "gaps": [0, -1, 2]}
    for name, labels in folders.items():
        for split, values in {"train": [0, 1, 2], "test": labels}.items():
            table(images, values).to_parquet(str(tmp_path / name / f"{split}.parquet"))
    assert prepare(config(tmp_path / "withheld")).labels("test") is None
    with pytest.raises(UserError, match=r"1 of 3 rows of .* split 'test' of .*gaps have no label .*row 1 the first"):
        prepare(config(tmp_path / "gaps"))


def mistakes(tmp_path):
    hub, _ = hub_folder(tmp_path / "hub")
    single, _ = image_folder(tmp_path / "single", splits=("",))
    words = tmp_path / "words"
    datasets.Dataset.from_dict({"text": ["a", "b"], "length": [1, 1]}).to_parquet(str(words / "train.parquet"))
    empty = tmp_path / "empty"
    table([], []).to_parquet(str(empty / "test.parquet"))
    table(map(png, pictures(2)), [0, 1]).to_parquet(str(empty / "train.parquet"))
    several = tmp_path / "several"
    double = table(map(png, pictures(2)), [0, 1])
    twin = double.rename_columns({"picture": "mask", "kind": "kind2"})
    datasets.concatenate_datasets([double, twin], axis=1).to_parquet(str(several / "train.parquet"))
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "train.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n")
    yield {"source": tmp_path / "absent" / "x"}, "does not exist; name"
    yield {"source": "~nobody-of-this-name/x"}, "does not exist; name"
    yield {"source": f"/{'long' * 1000}"}, "does not exist; name"
    yield {"source": "long" * 100}, "neither a file or folder here nor a dataset"
    yield {"source": "a\0b"}, "neither a file or folder here nor a dataset"
    yield {"source": tmp_path / "nothing"}, "empty folder"
    yield {"source": tmp_path / "table.csv"}, "not a .parquet file"
    yield {"source": torn}, "cannot be read as a dataset: .+"
    yield {"source": words, "test_split": None}, r"no image column \(columns: text: string, length: int64\)"
    yield {"source": words, "test_split": None, "image_column": "text"}, "'text' .*name a column of images"
    yield {"source": hub, "image_column": "pictures"}, "'pictures' is not in .*, did you mean 'picture'"
    yield {"source": hub, "label_column": "sort"}, "label_column 'sort' is not in"
    yield {"source": hub, "label_column": "picture"}, "name a column of classes"
    yield {"source": several, "test_split": None}, r"several image columns \(picture, mask\).*image_column=picture"
    yield (
        {"source": several, "test_split": None, "image_column": "mask"},
        r"several label columns \(kind, kind2\).*label_column=kind",
    )
    yield {"source": empty}, "split 'test' of .*empty is empty"
    yield {"source": hub, "train_split": "training"}, "which has: test, train; use data.train_split=train"
    yield {"source": hub, "test_split": "validation"}, "which has: test, train; use data.test_split=test"
    yield {"source": single}, "which has: train; use data.test_split=null"
    yield {"source": hub, "revision": "main"}, "set data.revision=null"
    yield {"source": "digits", "subset": "x"}, "set data.subset=null"
    yield {"source": "digits", "folders": "classes"}, "set data.folders=null"
    yield {"source": hub, "folders": "classes"}, "set data.folders=null"
    yield {"source": hub / "train-00000-of-00001.parquet", "subset": "x"}, "set data.subset=null"
    yield {"source": hub, "subset": "x"}, "cannot be read as a dataset: BuilderConfig 'x' not found"


def test_a_source_that_does_not_fit_is_answered_with_the_remedy(home, config, tmp_path):
    for settings, message in mistakes(tmp_path):
        with pytest.raises(UserError, match=message) as caught:
            prepare(config(**settings))
        assert "\n" not in str(caught.value), message
    assert [path.name for path in home.glob("[!.]*")] == [] and not list(home.glob(".*.partial"))
