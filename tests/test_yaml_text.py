"""Plain values against the table of YAML 1.2.2, section 10.3.2; and what is refused with its line."""

from __future__ import annotations

import math
import time

import pytest
import yaml

from genlib.config.yaml_text import LARGEST_TEXT, MOST_VALUES, NOT_YAML, read_yaml, write_yaml

PLAIN = {
    **{"1:30": "1:30", "on": "on", "no": "no", "yes": "yes", "y": "y", "2024-01-01": "2024-01-01", "nan": "nan"},
    **{"true": True, "False": False, "null": None, "~": None, "": None},
    **{"12": 12, "+12": 12, "-3": -3, "010": 10, "0o10": 8, "0x1F": 31, "100_000": 100_000, "1_0": "1_0", "0b1": "0b1"},
    **{"1e-4": 1e-4, "1e3": 1e3, ".5": 0.5, "1.": 1.0, "-2.5E+3": -2500.0, ".inf": math.inf, "-.Inf": -math.inf},
    **{"'12'": "12", '"on"': "on", "!!str 12": "12", "!!int '12'": 12, "!!float 1": 1.0, "<<": "<<"},
}


@pytest.mark.parametrize("text", PLAIN)
def test_a_plain_value_is_what_the_core_schema_says(text):
    found = read_yaml(text)
    assert found == PLAIN[text] and type(found) is type(PLAIN[text])


def test_not_a_number_is_written_with_a_point():
    assert math.isnan(read_yaml(".nan"))


@pytest.mark.parametrize("text", ["!!timestamp 2020-01-01", "!!set {a}", "!!binary aGk=", "!!python/name:os.system"])
def test_tags_beyond_the_core_schema_are_refused(text):
    with pytest.raises(NOT_YAML, match="could not determine a constructor"):
        read_yaml(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is given twice, in lines 1 and 3"),
        ("data: {x: 1}\ntraining: {steps: 1}\ndata: {y: 2}", "'data' is given twice, in lines 1 and 3"),
        ("a: {b: 1, b: 1}", "'b' is given twice, in line 1"),
        ('a: 1\n"a": 2', "'a' is given twice, in lines 1 and 2"),
    ],
)
def test_a_key_that_is_given_twice_is_refused_with_both_lines(text, where):
    with pytest.raises(NOT_YAML, match=where):
        read_yaml(text)


def test_a_merged_key_may_be_given_anew():
    text = "deep: {x: {y: &c {<<: &b {a: 1}, a: 2}}}\nlater: {<<: *c, z: 3}"
    assert read_yaml(text)["later"] == {"a": 2, "z": 3}


def test_aliases_that_grow_are_refused_at_once():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    began = time.perf_counter()
    with pytest.raises(NOT_YAML, match="aliases counted each time, and at most 10000 are read"):
        read_yaml("\n".join(levels))
    merged = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 10)]
    with pytest.raises(NOT_YAML, match="aliases counted"):
        read_yaml("\n".join(merged))
    assert time.perf_counter() - began < 5
    assert read_yaml("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}"])
def test_an_alias_of_what_it_stands_in_is_refused(text):
    with pytest.raises(NOT_YAML, match="stands inside what it repeats"):
        read_yaml(text)


def test_nesting_and_length_have_limits():
    with pytest.raises(NOT_YAML, match="more than 32 deep in line 1"):
        read_yaml("[" * 3000)
    with pytest.raises(NOT_YAML, match=f"at most {MOST_VALUES}"):
        read_yaml(f"[{'1, ' * (MOST_VALUES + 1)}]")
    assert LARGEST_TEXT >= 2**20


TEXTS = [
    "1e-4",
    "12",
    "1234e56",
    "on",
    "1:30",
    "010",
    "0o10",
    "2020-01-01",
    "1_000",
    "null",
    "~",
    "",
    "a: b",
    "<<",
    "é",
]


@pytest.mark.parametrize("value", [*TEXTS, 1e-5, 1e300, 10**12, True, None, [1, 2.5], {}, "x\ny"])
def test_what_is_written_reads_back_here_and_in_yaml_1_1(value):
    text = write_yaml({"key": value})
    assert read_yaml(text) == yaml.safe_load(text) == {"key": value}
