"""Folders of images as users have them: what is read as what, what is left out, and what is asked."""

import io
import json
import os

import datasets
import numpy as np
import pytest
from PIL import Image

from genlib.cli import main
from genlib.data.folder import open_dataset
from genlib.data.making.prepare import prepare
from genlib.errors import UserError
from tests.data.examples import hub_folder, pictures, png, table


def add(root, *names, kind=None, size=8):
    """Images of different pixels, in the format of their suffix or of `kind`."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures(1, size, seed=number)[0]).save(file, kind)


def everything(folder):
    """How many images there are, and how many of each class."""
    labels = [folder.labels(part) for part in ("train", "test")]
    counts = None
    if labels[0] is not None:
        found = np.bincount(np.concatenate(labels), minlength=len(folder.manifest.label_names))
        counts = dict(zip(folder.manifest.label_names, found.tolist(), strict=True))
    return sum(folder.manifest.counts.values()), counts


@pytest.fixture
def pets(tmp_path):
    return tmp_path / "pets"


@pytest.fixture
def read(home, config, pets):
    def prepared(**settings):
        return prepare(config(pets, **{"test_split": None} | settings))

    return prepared


def test_jpegs_of_the_size_asked_for_give_the_pixels_that_pillow_decodes(pets, home, config):
    rng = np.random.default_rng(0)
    expected = {}
    for name in ("cat", "dog"):
        for number in range(10):
            file = pets / name / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, quality=95)
            expected[f"{name}/{number}.jpg"] = np.asarray(Image.open(file)).transpose(2, 0, 1)
    folder = prepare(config(pets, test_split=None, image_size=32, channels=3))
    assert everything(folder) == (20, {"cat": 10, "dog": 10})
    images = np.concatenate([folder.images("train"), folder.images("test")])
    assert sorted(map(bytes, images)) == sorted(image.tobytes() for image in expected.values())


def test_a_readme_beside_images_is_left_out_and_named_and_their_names_decide_nothing(pets, read):
    add(pets, "photo of a train.png", "test tube.png", *(f"{number}.png" for number in range(8)))
    (pets / "README.md").write_text("# My images\n")
    folder = read()
    assert everything(folder) == (10, None)
    (left_out,) = folder.manifest.left_out
    assert left_out["count"] == 1 and left_out["kinds"] == {".md": 1} and left_out["first"] == ["README.md"]
    assert folder.manifest.warnings == [f"{pets}: files that are no images are left out, 1 in all (.md: 1): README.md"]


def test_files_beside_images_are_counted_by_kind_and_the_first_are_named(pets, read):
    add(pets, *(f"{number}.png" for number in range(6)))
    for number in range(6):
        (pets / f"{number}.json").write_text(json.dumps({"caption": "x"}))
    (pets / "labels.csv").write_text("name,label\n0.png,1\n")
    (pets / "metadata.csv").write_text("camera,date\nx,2020\n")  # not the hub's: no column file_name
    (pets / "notes").write_text("no image")
    folder = read()
    assert everything(folder) == (6, None)
    (left_out,) = folder.manifest.left_out
    assert left_out["kinds"] == {".json": 6, ".csv": 2, "without a suffix": 1}
    assert left_out["first"] == ["0.json", "1.json", "2.json"]


def test_contents_decide_where_suffixes_do_not(pets, read):
    add(pets, "a.jfif", "b.jpe", "c.JPEG", kind="JPEG")
    add(pets, "d.tif", "e.TIFF", kind="TIFF")
    add(pets, "f", "g.dat", "h.jpg", kind="PNG")  # one of them under another format's name
    add(pets, "i.png", kind="JPEG")
    add(pets, "j.gif", "k.webp", "l.bmp", "m.jp2", "n.ppm", "o.tga", "p.pcx")
    (pets / "text.dat").write_text("P5 is how a PGM begins, and this is none")
    folder = read()
    assert everything(folder) == (16, None)
    assert [group["first"] for group in folder.manifest.left_out] == [["text.dat"]]


def test_a_folder_without_images_is_refused_with_what_is_there(pets, read):
    pets.mkdir()
    for name in ("a.json", "b.json", "c.txt"):
        (pets / name).write_text("{}")
    with pytest.raises(UserError, match=r"holds neither an image .* but 2 \.json, 1 \.txt \(the first: a\.json\)"):
        read()


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("Train", "val"), ("TRAIN", "hold-out")])
def test_folders_that_look_like_splits_are_asked_about(pets, read, train, test):
    add(pets, *(f"{split}/{kind}/{number}.png" for split in (train, test) for kind in "xy" for number in range(3)))
    settings = rf"data\.train_split={train} and data\.test_split={test}"
    for test_split in (None, "test"):
        with pytest.raises(UserError, match=f"{settings} to read them so, or data.folders=classes") as asked:
            read(test_split=test_split)
        assert f"{test}" in str(asked.value) and "\n" not in str(asked.value)
    assert everything(read(train_split=train, test_split=test)) == (12, {"x": 6, "y": 6})
    assert everything(read(folders="classes")) == (12, {train: 6, test: 6})


def test_flat_split_folders_are_splits_without_labels(pets, read):
    add(pets, *(f"{split}/{number}.png" for split in ("Train", "Test", "val") for number in range(3)))
    with pytest.raises(UserError, match=r"Test, Train, val: these look like splits; set data\.train_split=Train and "):
        read()
    folder = read(train_split="Train", test_split="Test")
    assert folder.manifest.counts == {"train": 3, "test": 3} and folder.manifest.label_names is None
    (left_out,) = folder.manifest.left_out
    assert left_out["what"] == "images of splits that are not asked for" and left_out["kinds"] == {"val/": 3}


def test_one_class_with_a_split_s_name_is_asked_about(pets, read):
    add(pets, *(f"{kind}/{number}.png" for kind in ("dev", "design", "sales") for number in range(3)))
    with pytest.raises(UserError, match=r"of which dev: these look like splits; set data\.train_split to read them so"):
        read()
    assert everything(read(folders="classes")) == (9, {"design": 3, "dev": 3, "sales": 3})


def test_a_class_called_train_beside_other_classes_is_asked_about(pets, read):
    add(pets, *(f"{kind}/{number}.png" for kind in ("cars", "planes", "train") for number in range(3)))
    with pytest.raises(UserError, match=r"'train' is data\.train_split and cars, planes look like no splits; set data"):
        read()
    assert everything(read(folders="classes")) == (9, {"cars": 3, "planes": 3, "train": 3})
    folder = read(folders="splits")
    assert everything(folder) == (3, None)
    assert folder.manifest.left_out[0]["kinds"] == {"cars/": 3, "planes/": 3}


def test_splits_inside_of_classes_or_of_another_folder_are_asked_about(pets, read):
    add(pets, *(f"all/{split}/{kind}/{number}.png" for split in ("train", "test") for kind in "xy" for number in "12"))
    with pytest.raises(UserError, match=r"look like splits \(all/test, all/train\); .* set data\.source=.*pets/all to"):
        read()
    assert everything(read(folders="ignored")) == (8, None)


def test_a_stray_image_beside_class_folders_is_left_out_and_named(pets, read):
    add(pets, "stray.png", *(f"{kind}/{number}.png" for kind in "xy" for number in range(4)))
    folder = read()
    assert everything(folder) == (8, {"x": 4, "y": 4})
    assert folder.manifest.left_out[0]["first"] == ["stray.png"]
    assert "beside the class folders of split 'train' are left out, 1 in all" in folder.manifest.warnings[0]


def test_stray_images_in_and_beside_splits_are_left_out_too(pets, read):
    add(
        pets, "a.png", "train/b.png", *(f"{split}/x/{number}.png" for split in ("train", "test") for number in range(4))
    )
    folder = read(test_split="test")
    assert everything(folder) == (8, {"x": 8})
    assert [group["first"] for group in folder.manifest.left_out] == [["a.png"], ["train/b.png"]]


def test_many_images_beside_a_folder_are_asked_about(pets, read):
    add(pets, *(f"{number}.png" for number in range(6)), "old/1.png", "old/2.png")
    with pytest.raises(
        UserError, match=r"6 images of .* in no class folder \(the first: 0\.png\) and 2 in folders \(old"
    ):
        read()
    assert everything(read(folders="ignored")) == (8, None)


def test_a_test_split_without_classes_has_no_labels(pets, read):
    add(pets, *(f"train/{kind}/{number}.png" for kind in "xy" for number in range(3)), "test/1.png", "test/2.png")
    folder = read(test_split="test")
    assert folder.manifest.label_names == ["x", "y"] and folder.labels("test") is None


def test_the_folder_that_an_image_lies_in_is_its_class_at_any_one_depth(pets, read):
    add(pets, *(f"{year}/{kind}/{number}.png" for year in (2020, 2021) for kind in "xy" for number in range(2)))
    assert everything(read()) == (8, {"x": 4, "y": 4})
    assert everything(read(folders="classes")) == (8, {"2020": 4, "2021": 4})
    add(pets, "2020/more.png")
    with pytest.raises(UserError, match=r"lie at different depths \(2020/more\.png, 2020/x/0\.png\)"):
        read()
    assert everything(read(folders="classes")) == (9, {"2020": 5, "2021": 4})


def test_classes_that_are_numbers_are_in_the_order_of_numbers(pets, read):
    add(pets, *(f"{kind}/{number}.png" for kind in (1, 2, 10) for number in range(2)))
    assert read().manifest.label_names == ["1", "2", "10"]


def test_columns_of_an_image_folder_are_refused(pets, read):
    add(pets, "1.png", "2.png")
    with pytest.raises(UserError, match=r"image_column is 'img', but .* no columns; set data\.image_column=null"):
        read(image_column="img")
    with pytest.raises(UserError, match=r"lie in no class folders; set data\.label_column=null"):
        read(label_column="label")
    with pytest.raises(UserError, match=r"data\.folders is 'splits', but .* has no folders"):
        read(folders="splits")


def test_images_with_the_hub_s_metadata_are_read_as_it_says(pets, read):
    add(pets, *(f"{number}.png" for number in range(5)))
    rows = [{"file_name": f"{number}.png", "kind": "ab"[number % 2]} for number in range(4)]
    (pets / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = read(label_column="kind")
    assert everything(folder) == (4, {"a": 2, "b": 2})
    assert f"{pets}: image files that are in no split are left out, 1 in all" in folder.manifest.warnings


def test_a_readme_with_configs_says_which_files_are_which_split(pets, read):
    add(pets, *(f"{number}.png" for number in range(6)), "other/1.png", "other/2.png")
    (pets / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: '*.png'}\n"
        "  - {split: test, path: 'other/*.png'}\n---\n"
    )
    assert read(test_split="test").manifest.counts == {"train": 6, "test": 2}


def test_images_beside_parquet_files_of_the_hub_s_names_are_left_out_and_named(pets, read):
    hub_folder(pets, train=4, test=2)
    add(pets, *(f"preview/{number}.png" for number in range(3)))
    folder = read(test_split="test")
    assert everything(folder) == (6, {"ant": 3, "bee": 2, "cat": 1})
    assert folder.manifest.left_out[0]["first"] == ["preview/0.png", "preview/1.png", "preview/2.png"]


def test_a_parquet_file_of_another_name_beside_images_is_left_out_and_named(pets, read):
    add(pets, *(f"{number}.png" for number in range(4)))
    datasets.Dataset.from_dict({"embedding": [[0.0], [1.0]]}).to_parquet(str(pets / "embeddings.parquet"))
    folder = read()
    assert everything(folder) == (4, None) and folder.manifest.left_out[0]["kinds"] == {".parquet": 1}


def test_splits_of_tables_are_asked_about_too(pets, read):
    pets.mkdir()
    saved = table(map(png, pictures(4)), [0, 1, 2, 0])
    datasets.DatasetDict(Training=saved, Testing=saved).save_to_disk(str(pets))
    for test_split in ("test", None):
        with pytest.raises(UserError, match=r"use data\.train_split=Training and data\.test_split=Testing\."):
            read(test_split=test_split)
    with pytest.raises(UserError, match=r"use data\.test_split=Testing, or data\.test_split=null"):
        read(train_split="Training", test_split="test")


@pytest.mark.parametrize("name", [b"caf\xe9/1.png", b"x/caf\xe9.png"])
def test_names_that_are_not_utf_8_are_refused_escaped(pets, read, name):
    file = os.fsencode(pets) + b"/" + name
    os.makedirs(os.path.dirname(file))
    with open(file, "wb") as opened:
        opened.write(png(pictures(1)[0]))
    with pytest.raises(UserError, match=r"the name '.*caf\\xe9.*' is not UTF-8; rename it") as refused:
        read()
    str(refused.value).encode()


def test_a_source_whose_own_path_is_not_utf_8_is_refused(home, config, tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with pytest.raises(UserError, match=r"caf\\xe9' is not UTF-8"):
        prepare(config(os.fsdecode(folder)))


def test_a_pipe_among_the_files_is_refused(pets, read):
    add(pets, "1.png")
    os.mkfifo(pets / "2.png")
    with pytest.raises(UserError, match="2.png is a pipe"):
        read()


def test_brackets_in_a_path_are_no_pattern(home, config, tmp_path, monkeypatch):
    root = tmp_path / "mine[1]"
    add(root / "plain", *(f"{kind}[2]/{number}.png" for kind in "xy" for number in range(2)))
    assert everything(prepare(config(root / "plain", test_split=None)))[1] == {"x[2]": 2, "y[2]": 2}
    hub_folder(root / "hub", train=4, test=2)
    (root / "hub" / "README.md").write_text("Read by `datasets`.")
    assert prepare(config(root / "hub")).manifest.counts == {"train": 4, "test": 2}
    monkeypatch.setenv("GENLIB_HOME", str(tmp_path / "home[1]"))
    with pytest.raises(UserError, match=r"so has GENLIB_HOME .*; rename one of them"):
        prepare(config(root / "hub"))


def test_images_that_are_all_the_same_or_of_one_colour_each_are_said(pets, home, config, tmp_path):
    for name, pixels in {
        "black": np.zeros((6, 8, 8)),
        "plain": np.arange(6)[:, None, None] * np.ones((6, 8, 8)),
    }.items():
        for number, image in enumerate(pixels.astype(np.uint8)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    settings = {"test_split": None, "test_fraction": 0.34}
    warnings = {name: prepare(config(tmp_path / name, **settings)).manifest.warnings for name in ("black", "plain")}
    black, plain = (f"images of {tmp_path / name}" for name in ("black", "plain"))
    assert warnings["black"][0] == f"all 4 train {black} are the same, of a single colour"
    assert warnings["black"][1].startswith("all 2 test")
    assert warnings["plain"][0] == f"each of the 4 train {plain} is of a single colour"
    add(pets, "1.png")
    for number in range(2, 5):
        (pets / f"{number}.png").write_bytes((pets / "1.png").read_bytes())
    assert prepare(config(pets, **settings)).manifest.warnings[0].endswith("pets are the same")


def test_an_image_above_the_limit_of_pixels_is_a_corrupt_row_by_that_name(pets, read):
    add(pets, "1.png", "2.png", "3.png")
    add(pets, "large.png", size=30)
    with pytest.raises(
        UserError, match=r"large\.png: it has 30x30 pixels, more than data\.max_pixels=800 allows\); repair"
    ):
        read(max_pixels=800)
    folder = read(max_pixels=800, on_corrupt="skip")
    assert everything(folder) == (3, None)
    assert list(folder.manifest.left_out[0]["kinds"]) == ["it has 30x30 pixels, more than data.max_pixels=800 allows"]
    assert everything(read()) == (4, None)


def test_corrupt_images_that_are_left_out_are_counted_by_reason_and_named(pets, read):
    add(pets, *(f"{number}.png" for number in range(20)))
    for number in range(5):
        (pets / f"torn{number}.png").write_bytes(b"torn")
    whole = io.BytesIO()
    Image.fromarray(pictures(1, 64)[0]).save(whole, "JPEG")
    for number in range(3):
        (pets / f"cut{number}.jpg").write_bytes(whole.getvalue()[: 1000 + number])
    folder = read(on_corrupt="skip", test_fraction=0.5)
    assert sum(folder.manifest.counts.values()) == 20 and sum(folder.manifest.skipped.values()) == 8
    groups = {group["what"]: group for group in folder.manifest.left_out}
    assert set(groups) == {"unreadable train images (split 'train')", "unreadable test images (split 'train')"}
    kinds = {"torn": 0, "cut": 0}
    for group in groups.values():
        for kind, count in group["kinds"].items():
            kinds["torn" if kind == "no image format that Pillow knows" else "cut"] += count
        assert len(group["kinds"]) <= 2  # however many bytes each lacks
        assert all(name.startswith(("torn", "cut")) for name in group["first"])
    assert kinds == {"torn": 5, "cut": 3}


@pytest.fixture
def pets_with_a_note(pets):
    add(pets, *(f"{number}.png" for number in range(4)))
    (pets / "note.txt").write_text("x")
    return pets


def test_warnings_are_said_by_the_call_that_makes_the_folder_and_by_whoever_asks_for_them(
    pets_with_a_note, read, home, config, caplog
):
    folder = read()
    assert caplog.messages == folder.manifest.warnings
    read()
    assert len(caplog.messages) == 1
    heard = []
    prepare(config(pets_with_a_note, test_split=None), warn=heard.append)
    assert heard == folder.manifest.warnings and len(caplog.messages) == 1


def test_the_command_prints_warnings_each_time(pets_with_a_note, home, capsys):
    sets = [f"data.source={pets_with_a_note}", "data.test_split=null"]
    for _ in range(2):
        assert main(["prepare", "configs/vae_digits.yaml", *(part for one in sets for part in ("--set", one))]) == 0
        printed = capsys.readouterr()
        assert printed.err.startswith(f"warning: {pets_with_a_note}: files that are no images are left out, 1 in all")
        assert open_dataset(printed.out.strip()).manifest.counts == {"train": 3, "test": 1}
