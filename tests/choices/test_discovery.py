"""Choices and records are found by looking; what is wrong with a declaration is named with its file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar, Literal

import pytest

from genlib.choices import discovery
from genlib.choices.choice import Choice
from genlib.choices.discovery import choices_of_kind, found_of_kind, origin_of, records_of_kind
from genlib.choices.record import Record
from genlib.config.launcher import Launcher
from genlib.errors import UserError
from genlib.networks.mlp.config import MLPConfig


@dataclass(frozen=True)
class Colour(Record):
    folder: ClassVar[str] = "colours_for_a_test"
    noun: ClassVar[str] = "colour"

    name: str
    wavelength: int


class Shape(Choice):
    folder: ClassVar[str] = "shapes_for_a_test"
    noun: ClassVar[str] = "shape"


ONE = """
from tests.choices.test_discovery import Colour
RED = Colour("red", 700)
"""
TWO = """
from colours_for_a_test.one import RED
from tests.choices.test_discovery import Colour
BLUES = (Colour("blue", 470), Colour("azure", 488))
"""
PLUGIN = """
from tests.choices.test_discovery import Colour
GREEN = Colour("green", 530)
"""
ROUND = """
from typing import Literal
from tests.choices.test_discovery import Shape
class Round(Shape):
    name: Literal["round"] = "round"
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write modules of packages, and forget the packages afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(discovery, "entry_points", lambda group: ())
    known = set(sys.modules)
    forget()

    def write(package, **modules):
        (tmp_path / package).mkdir()
        for name, text in {"__init__": "", **modules}.items():
            (tmp_path / package / f"{name}.py").write_text(text)

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]
    forget()


def forget():
    discovery.found_of_kind.cache_clear()
    discovery.plugin_modules.cache_clear()


def plug_in(monkeypatch, *names):
    entries = [EntryPoint(name, name, discovery.GROUP) for name in names]
    monkeypatch.setattr(discovery, "entry_points", lambda group: entries)


def test_records_of_all_files_are_known_by_name_ours_before_those_of_plugins(package, monkeypatch):
    package("colours_for_a_test", one=ONE, two=TWO)
    package("greens_for_a_test", green=PLUGIN)
    plug_in(monkeypatch, "greens_for_a_test")
    found = records_of_kind(Colour)
    assert list(found) == ["azure", "blue", "red", "green"]
    assert found["red"].wavelength == 700
    assert origin_of(found["green"]) == "greens_for_a_test"


def test_a_file_that_declares_no_record_is_named(package):
    package("colours_for_a_test", one=ONE, three="RED = 'red'\n")
    with pytest.raises(ImportError, match=r"three\.py lies where every file declares a colour.*holds a Colour"):
        records_of_kind(Colour)


def test_two_records_of_one_name_are_named_with_both_files(package, monkeypatch):
    package("colours_for_a_test", one=ONE)
    package("reds_for_a_test", rouge=PLUGIN.replace("green", "red"))
    plug_in(monkeypatch, "reds_for_a_test")
    with pytest.raises(UserError, match=r"colour 'red' is declared twice, in \S+one\.py and \S+rouge\.py; rename"):
        records_of_kind(Colour)


def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_are_known(package, monkeypatch, capsys):
    package("colours_for_a_test", one=ONE)
    package("greens_for_a_test", green=PLUGIN)
    package("broken_for_a_test", worse="import nothing_of_this_name\n")
    plug_in(monkeypatch, "broken_for_a_test", "greens_for_a_test")
    assert list(records_of_kind(Colour)) == ["red", "green"]
    assert "plugin broken_for_a_test" in capsys.readouterr().err


def test_a_choice_that_a_module_only_imports_is_not_declared_by_it(package):
    package("shapes_for_a_test", one=ROUND, two="from shapes_for_a_test.one import Round\n")
    with pytest.raises(ImportError, match=r"two\.py lies where every file declares a shape"):
        choices_of_kind(Shape)


def test_two_choices_of_one_name_are_named_with_both_files(package):
    package("shapes_for_a_test", one=ROUND, two=ROUND)
    with pytest.raises(UserError, match=r"shape 'round' is declared twice, in \S+one\.py and \S+two\.py; rename"):
        choices_of_kind(Shape)


def test_a_choice_comes_from_the_package_that_declares_it():
    class Square(Shape):
        name: Literal["square"] = "square"

    assert origin_of(Square) == "tests"
    assert origin_of(MLPConfig) == "genlib"


LAUNCHER = """
from typing import Literal
from genlib.config.launcher import Launcher
class Nothing(Launcher):
    name: Literal["nothing"] = "nothing"
"""


def test_a_choice_without_what_its_kind_must_define_is_named(package, monkeypatch):
    package("launchers_for_a_test", lacking=LAUNCHER)
    monkeypatch.setattr(Launcher, "folder", "launchers_for_a_test")
    with pytest.raises(ImportError, match=r"lacking\.py: the launcher nothing does not define train"):
        found_of_kind.__wrapped__(Launcher)


def test_an_incomplete_choice_of_a_plugin_is_warned_of_and_the_others_are_known(package, monkeypatch, capsys):
    package("launchers_of_a_plugin", lacking=LAUNCHER)
    plug_in(monkeypatch, "launchers_of_a_plugin.lacking")
    assert "process" in found_of_kind.__wrapped__(Launcher)
    assert "the launcher nothing does not define train" in capsys.readouterr().err
