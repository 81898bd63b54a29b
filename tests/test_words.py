"""Docstrings, messages and descriptions begin with a noun or a verb."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from genlib.config.reference import entry_of, sections_below
from genlib.config.run import RunConfig
from tests.conftest import PROJECT

FRAGMENTS = ("Of ", "What ")
# First words of descriptions that are neither a noun nor a verb.
NO_BEGINNINGS = {
    *("Of", "What", "Whose", "Which", "Where", "When", "How", "Whether", "That", "Than", "Beside", "Besides", "In"),
    *("On", "At", "By", "For", "From", "Over", "With", "Without", "To", "As", "If", "And", "Or", "It", "They", "Them"),
}


def rooms() -> dict[str, list[Path]]:
    """The files of each package directly in genlib and pipelines, and of each module there."""
    found: dict[str, list[Path]] = {}
    for package in ("genlib", "pipelines"):
        for file in sorted((PROJECT / package).rglob("*.py")):
            room = "/".join(file.relative_to(PROJECT).parts[:2])
            found.setdefault(room, []).append(file)
    return found


def texts_in(file: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string of a file, docstrings among them; of an f-string its beginning."""
    tree = ast.parse(file.read_text())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.lineno, node.value.lstrip()


@pytest.mark.parametrize("room", rooms())
def test_no_docstring_and_no_message_begins_with_a_fragment(room: str) -> None:
    found = [
        f"{file.relative_to(PROJECT)}:{line}: {text.splitlines()[0][:90]}"
        for file in rooms()[room]
        for line, text in texts_in(file)
        if text.startswith(FRAGMENTS)
    ]
    assert not found, "\n".join(found)


def test_every_description_of_a_key_begins_with_a_noun_or_a_verb() -> None:
    found = [
        f"{entry.title}: {key.name}: {key.meaning}"
        for name, section in sections_below(RunConfig)
        for entry in [entry_of(name, section)]
        for key in entry.keys
        if not begins_well(key.meaning)
    ]
    assert not found, "\n".join(found)


def begins_well(description: str) -> bool:
    """Whether the first word, after a value such as `null: `, may be a noun, a verb or a symbol."""
    value = re.match(r"^[a-z]\w*: ", description)
    first = description[value.end() if value else 0 :].partition(" ")[0].strip(",:;")
    is_symbol = len(first) == 1 or "(" in first
    return first not in NO_BEGINNINGS and (bool(value) or is_symbol or not first[0].islower())
