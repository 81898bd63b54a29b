"""Captions: what they say, in which words, and scenes that are as they say."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from genlib.conditions.caption.condition import Captions
from genlib.conditions.caption.words import LENGTH, LOOKS, PLACES, RELATIONS, Said, Thing, Vocabulary, places_agree
from genlib.data.config import DataConfig
from genlib.data.context_files import read_contexts
from genlib.data.folder import images_file, labels_file
from genlib.data.making.prepare import prepare
from genlib.data.making.scenes import EMPTY, looks_of, make_scenes, slant, thickness
from genlib.errors import UserError
from genlib.evaluation.scoring.reader import cut
from genlib.pixels.sizes import scene_cell, scene_thing

DIGITS = [str(digit) for digit in range(10)]
WORDS = Vocabulary(DIGITS)
FOUR, SEVEN, ONE = Thing(4), Thing(7), Thing(1)


@pytest.fixture(scope="module", params=[24, 28], ids=["without room", "with room"])
def scenes(genlib_home, request):
    return prepare(DataConfig(source="digits", image_size=request.param, channels=1, scenes=200))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (Said((FOUR, SEVEN), relation="above"), "a four above a seven"),
        (Said((SEVEN, SEVEN, ONE)), "two sevens and a one"),
        (Said((Thing(6),) * 3), "three sixes"),
        (Said((Thing(8, ("thin", "slanted")),), cell=8), "a thin slanted eight at the bottom right"),
        (Said((Thing(8),)), "an eight"),
        (
            Said((Thing(1, ("upright",)), Thing(2), Thing(2)), relation="left of"),
            "an upright one left of a two left of a two",
        ),
        (Said((Thing(2), Thing(2), Thing(3))), "two twos and a three"),
        (Said((Thing(0),), cell=4), "a zero in the middle"),
    ],
)
def test_what_is_said_is_written_and_read_again(said, text):
    assert WORDS.written(said) == text
    assert WORDS.read(text) == said
    assert WORDS.decode(WORDS.encode(text)) == text


@pytest.mark.parametrize(
    "text",
    ["four", "a four above", "two sevens above a one", "a four and a one at the top", "a two seven", "a sevens", "the"],
)
def test_words_without_sense_say_nothing(text):
    assert WORDS.read(text) is None


def test_the_longest_caption_has_its_length():
    thing = Thing(3, ("thick", "upright"))
    assert len(WORDS.encode(WORDS.written(Said((thing,) * 3, relation="right of")))) == LENGTH
    with pytest.raises(UserError, match="has 17 words; use 1 to 16"):
        WORDS.encode("a " * 17)
    with pytest.raises(UserError, match="has 0 words"):
        WORDS.encode(" , ")


def test_an_unknown_word_is_named_with_the_nearest():
    with pytest.raises(UserError, match=r"'sevn', which the model was not taught, did you mean 'seven'\?"):
        WORDS.encode("A four above a sevn")


def test_names_become_words_of_their_own():
    words = Vocabulary(["T-shirt/Top", "fox", "pony", "bus"])
    assert words.singular == ["t-shirt-top", "fox", "pony", "bus"]
    assert words.plural == ["t-shirt-tops", "foxes", "ponies", "buses"]
    with pytest.raises(UserError, match="two labels would be called 'cats'"):
        Vocabulary(["cat", "cats"])


def test_a_relation_is_one_of_rows_or_columns():
    for relation, (down, right) in RELATIONS.items():
        said = Said((FOUR, SEVEN), relation=relation)
        for first, second in permutations(range(9), 2):
            (row, column), (other_row, other_column) = divmod(first, 3), divmod(second, 3)
            expected = (
                column == other_column and (other_row - row) * down > 0
                if down
                else row == other_row and (other_column - column) * right > 0
            )
            assert places_agree(said, (first, second)) == expected
    for cell, place in enumerate(PLACES):
        said = WORDS.read(f"a four {place}")
        assert places_agree(said, (cell,)) and not places_agree(said, ((cell + 1) % 9,))


def test_scenes_are_as_their_captions_say(scenes):
    assert scenes.manifest.counts == {"train": 200, "test": 20} and scenes.manifest.label_names is None
    condition = Captions(tuple(scenes.manifest.shape), scenes.scene_names)
    kinds = set()
    for part in ("train", "test"):
        texts = condition.decode(torch.from_numpy(scenes.captions(part)))
        images, looks = torch.from_numpy(scenes.images(part).copy()), scenes.manifest.scenes["looks"]
        for text, cells, image in zip(texts, scenes.cells(part), images, strict=True):
            said = condition.vocabulary.read(text)
            there = np.flatnonzero(cells != EMPTY)
            assert sorted(thing.label for thing in said.things) == sorted(cells[there])
            ways = [
                way
                for way in permutations(there)
                if [cells[cell] for cell in way] == [thing.label for thing in said.things] and places_agree(said, way)
            ]
            parts = cut(image[None])[0]
            assert all(parts[cell].any() == (cells[cell] != EMPTY) for cell in range(9))
            found = looks_of(parts.numpy(), looks)
            assert any(
                all(set(thing.looks) <= set(found[cell]) for thing, cell in zip(said.things, way, strict=True))
                for way in ways
            )
            kinds.add("cell" if said.cell is not None else said.relation or "counted")
    assert kinds == {"cell", "counted", *RELATIONS}


@pytest.mark.parametrize("size", [24, 27, 48])
def test_a_thing_is_not_smaller_than_8_pixels_and_fits_in_its_cell(size):
    assert 8 <= scene_thing(size) <= scene_cell(size)


def test_things_of_both_splits_are_their_own(scenes):
    """No thing of a test scene stands in a train scene, but for digits that the source has twice."""

    def things(part):
        cells, images = scenes.cells(part), torch.from_numpy(scenes.images(part).copy())
        return [
            part[cell].numpy()
            for of_scene, part in zip(cells, cut(images), strict=True)
            for cell in np.flatnonzero(of_scene != EMPTY)
        ]

    def key(cell):
        rows, columns = (np.flatnonzero(cell[0].any(axis)) for axis in (1, 0))
        return cell[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes()

    assert not {key(cell) for cell in things("train")} & {key(cell) for cell in things("test")}


def test_thickness_and_slant_are_those_of_bars():
    bars = np.zeros((3, 1, 16, 16), np.uint8)
    bars[0, 0, 2:14, 7:9] = 255
    bars[1, 0, 2:14, 5:9] = 255
    for row in range(2, 14):
        bars[2, 0, row, row // 2 + 3 : row // 2 + 5] = 255
    thin, thick, _ = thickness(bars)
    assert thin == pytest.approx(2 * 24 / (2 * 12 + 2 * 2)) and thick == pytest.approx(2 * 48 / (2 * 12 + 2 * 4))
    assert slant(bars)[:2].tolist() == pytest.approx([0, 0], abs=1e-9) and slant(bars)[2] == pytest.approx(
        0.5, abs=0.02
    )


def test_scenes_need_labels(genlib_home, tmp_path):
    from PIL import Image

    for number in range(4):
        Image.new("L", (9, 9), 40 * number).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match="are of labelled images"):
        prepare(DataConfig(source=str(tmp_path), image_size=28, channels=1, scenes=20, test_split=None))


def test_a_split_whose_labels_are_withheld_makes_no_scenes(tmp_path):
    for part in ("train", "test"):
        np.save(images_file(tmp_path, part), np.zeros((3, 1, 9, 9), np.uint8))
    np.save(labels_file(tmp_path, "train"), np.zeros(3, np.int64))
    with pytest.raises(UserError, match="somewhere has none in one of its splits; name data.label_column"):
        make_scenes(tmp_path, ["one"], "somewhere", 20, 28, tmp_path)


def test_captions_come_from_text_and_from_files(tmp_path):
    condition = Captions((1, 28, 28), DIGITS)
    assert condition.decode(read_contexts("Two sevens, and a one.", condition)) == ["two sevens and a one"]
    (tmp_path / "some.txt").write_text("a four\n\nan eight above a one\n")
    assert condition.decode(read_contexts(tmp_path / "some.txt", condition)) == ["a four", "an eight above a one"]
    with pytest.raises(UserError, match="cannot be read"):
        read_contexts("absent.txt", condition)
    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(UserError, match="holds no captions"):
        read_contexts(tmp_path / "none.txt", condition)


def test_captions_that_cannot_be_are_refused():
    condition = Captions((1, 28, 28), DIGITS)
    good = condition.example()
    assert condition.fault(good) is None and good.shape == (1, LENGTH)
    assert "says nothing" in condition.fault(torch.zeros_like(good))
    assert f"word {len(WORDS.words)} of a caption is unknown" in condition.fault(good + len(WORDS.words) - good[0, 0])
    assert {look for pair in LOOKS for look in pair} <= set(WORDS.words)
