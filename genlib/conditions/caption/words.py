"""Captions of scenes, their words and meaning; free of torch.

A scene is a frame of 3 x 3 cells, numbered row by row, in which one to three things stand. Its caption names them in
one of three ways: one thing and where it is ("a four at the top"), things in a row or column ("a four above a thin
seven"), or how many there are ("two sevens and a one").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genlib.errors import UserError, did_you_mean
from genlib.pixels.sizes import SCENE_SIDE

SIDE, MOST = SCENE_SIDE, 3  # cells along a side of the frame; things in it
END = "<end>"
ARTICLES, COUNTS = ("a", "an"), ("two", "three")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LOOKS = (("thin", "thick"), ("upright", "slanted"))
PLACES = (
    *("at the top left", "at the top", "at the top right"),
    *("at the left", "in the middle", "at the right"),
    *("at the bottom left", "at the bottom", "at the bottom right"),
)
RELATIONS = {"above": (1, 0), "below": (-1, 0), "left of": (0, 1), "right of": (0, -1)}  # rows and columns to the next
GRAMMAR = tuple(
    dict.fromkeys(
        " ".join([*ARTICLES, *COUNTS, "and", *RELATIONS, *PLACES, *(look for pair in LOOKS for look in pair)]).split()
    )
)
LENGTH = MOST * 4 + (MOST - 1) * 2 + 1  # "a thin upright one left of ...", and the end


class Thing(NamedTuple):
    """A thing in a scene, as a caption names it."""

    label: int
    looks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """Meaning of a caption."""

    things: tuple[Thing, ...]
    cell: int | None = None  # of the only thing
    relation: str | None = None  # of each thing to the next

    @property
    def has_places(self) -> bool:
        return self.cell is not None or self.relation is not None


class Vocabulary:
    """The words of captions of things with these names: the end first, then the grammar's, then theirs.

    UserError where two names become the same word.
    """

    def __init__(self, names: Sequence[str]) -> None:
        digits = list(names) == [str(digit) for digit in range(len(names))] and len(names) <= len(DIGITS)
        self.singular = [DIGITS[label] if digits else word_of(name) for label, name in enumerate(names)]
        self.plural = [plural_of(word) for word in self.singular]
        named = [*self.singular, *self.plural]
        if len(set(named)) < len(named):
            twice = next(word for word in named if named.count(word) > 1)
            raise UserError(f"two labels would be called '{twice}' in captions; give labels other names.")
        self.words = list(dict.fromkeys([END, *GRAMMAR, *named]))
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        """The numbers of a caption's words, filled with the end's to LENGTH. UserError for a word that is not known,
        and for none or too many.
        """
        words = re.findall(r"[a-z0-9-]+", text.lower())
        for word in words:
            if word not in self.numbers:
                known = [known for known in self.words if known != END]
                raise UserError(
                    f"caption '{text}' has the word '{word}', which the model was not taught"
                    f"{did_you_mean(word, known)}; known: {', '.join(known)}."
                )
        if not 0 < len(words) < LENGTH:
            raise UserError(f"caption '{text}' has {len(words)} words; use 1 to {LENGTH - 1}.")
        numbers = [self.numbers[word] for word in words]
        return numbers + [0] * (LENGTH - len(numbers))

    def decode(self, numbers: Sequence[int]) -> str:
        """The words before the end."""
        words = [self.words[number] for number in numbers]
        return " ".join(words[: words.index(END)] if END in words else words)

    def written(self, said: Said) -> str:
        """A caption; things without a cell or a relation are counted."""
        if said.relation:
            return f" {said.relation} ".join(map(self.one, said.things))
        if said.cell is not None:
            return f"{self.one(said.things[0])} {PLACES[said.cell]}"
        groups: dict[int, list[Thing]] = {}
        for thing in said.things:
            groups.setdefault(thing.label, []).append(thing)
        return " and ".join(
            self.one(group[0]) if len(group) == 1 else f"{COUNTS[len(group) - 2]} {self.plural[label]}"
            for label, group in groups.items()
        )

    def one(self, thing: Thing) -> str:
        words = [*thing.looks, self.singular[thing.label]]
        return " ".join([article_of(words[0]), *words])

    def read(self, text: str) -> Said | None:
        """Meaning of a caption; None for words without sense."""
        cell = relation = None
        for number, place in enumerate(PLACES):
            if text.endswith(f" {place}") and cell is None:
                cell, text = number, text.removesuffix(f" {place}")
        used = [name for name in RELATIONS if f" {name} " in text]
        if used:
            relation = used[0]
        parts = text.split(f" {relation} " if relation else " and ")
        groups = [self.group(part.split()) for part in parts]
        things = tuple(thing for group in groups if group for thing in group)
        counted = any(group and len(group) > 1 for group in groups)
        if None in groups or not 0 < len(things) <= MOST or (relation and counted) or (cell is not None and things[1:]):
            return None
        return Said(things, cell, relation)

    def group(self, words: list[str]) -> list[Thing] | None:
        """ "a thin four", "two sevens"; None for other words."""
        if len(words) < 2 or words[0] not in ARTICLES + COUNTS:
            return None
        count = COUNTS.index(words[0]) + 2 if words[0] in COUNTS else 1
        looks, name = tuple(words[1:-1]), words[-1]
        names = self.singular if count == 1 else self.plural
        allowed = [(), *((look,) for pair in LOOKS for look in pair), *((a, b) for a in LOOKS[0] for b in LOOKS[1])]
        if name not in names or looks not in allowed or (looks and count > 1):
            return None
        return [Thing(names.index(name), looks)] * count


def word_of(name: str) -> str:
    """One word for a label's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "thing"


def article_of(word: str) -> str:
    return "an" if re.match(r"(?!one|uni|eu)[aeiou]", word) else "a"


def plural_of(word: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", word):
        return f"{word}es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", word) + "s"


def places_agree(said: Said, cells: Sequence[int | None]) -> bool:
    """Whether things that stand in these cells, in the caption's order, are where it says."""
    if any(cell is None for cell in cells):
        return False
    found = [divmod(cell, SIDE) for cell in cells if cell is not None]
    if said.cell is not None:
        return found == [divmod(said.cell, SIDE)]
    if said.relation is None:
        return True
    down, right = RELATIONS[said.relation]
    return all(
        (row - before) * down > 0 and column == beside if down else (column - beside) * right > 0 and row == before
        for (before, beside), (row, column) in zip(found, found[1:], strict=False)
    )
