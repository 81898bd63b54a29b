"""Sources of data, a file each or several: which values of data.source each answers to, and how it is opened.

Free of torch, numpy and `datasets`, since every configuration asks its source what it is. What reads lies in
`genlib/data/reading`, or in a class beside the record with its heavy imports inside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.choices.discovery import records_of_kind
from genlib.choices.record import Record
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.data.config import DataConfig
    from genlib.data.reading.base import ImageSource, Unreachable
    from genlib.data.reading.points import PointSet, PointSource

Turn = Literal["first", "paths", "last"]
TURNS: tuple[Turn, ...] = ("first", "paths", "last")
Key = Literal["revision", "subset", "folders"]
KEYS: tuple[Key, ...] = ("revision", "subset", "folders")


@dataclass(frozen=True, kw_only=True)
class Remote:
    """How a source elsewhere is opened when it cannot be reached."""

    at: Callable[[DataConfig, str], ImageSource]  # (config, revision): as it was at a known revision
    cached: Callable[[DataConfig, Unreachable], ImageSource]  # (config, reason): from a copy here; UserError without


@dataclass(frozen=True, kw_only=True)
class Source(Record, ABC):
    """A kind of data that data.source can name. It answers to its own name, or to what `answers_to` says.

    Sources are asked in turns: first those of a name or of one kind of file, then those of any path, at last the hub.
    """

    folder: ClassVar[str] = "genlib.data.sources"
    noun: ClassVar[str] = "source"
    is_points: ClassVar[bool] = False  # points in the plane, not images

    name: str
    description: str  # a line of the reference: a noun phrase
    answers_to: Callable[[str], bool] | None = None  # whether it takes this value of data.source; None: its name alone
    turn: Turn = "first"
    keys: tuple[Key, ...] = ()  # of the data section that mean something for this source and not for every other
    remote: Remote | None = None  # where the source is elsewhere, and may be out of reach

    @property
    def is_built_in(self) -> bool:
        """Whether it is made here, by its name alone."""
        return self.answers_to is None

    def answers(self, source: str) -> bool:
        return self.answers_to(source) if self.answers_to else source == self.name

    @property
    def is_mixture(self) -> bool:
        """Whether the points are those of a mixture of Gaussians, so that modes can be counted."""
        return False

    @abstractmethod
    def open(self, config: DataConfig, cache: Path, progress: bool) -> ImageSource | PointSource:
        """The source as it is now, identified by its content.

        `cache` is a folder for what is known of files; `progress` shows bars on a terminal. UserError if there is no
        such source; Unreachable, from a source with a `remote`, if that cannot be asked.
        """


@dataclass(frozen=True, kw_only=True)
class SourceOfImages(Source):
    """Images, labelled or not."""

    opened_by: Callable[[DataConfig, Path, bool], ImageSource]  # see `Source.open`

    def open(self, config: DataConfig, cache: Path, progress: bool) -> ImageSource:
        return self.opened_by(config, cache, progress)


@dataclass(frozen=True, kw_only=True)
class SourceOfPoints(Source):
    """Points in the plane, drawn from a known density."""

    is_points: ClassVar[bool] = True

    point_set: Callable[[], PointSet]
    mixture: bool = False
    version: int = 1  # to be raised when the set is defined otherwise, so that folders of before are not taken for it

    @property
    def is_mixture(self) -> bool:
        return self.mixture

    def open(self, config: DataConfig, cache: Path, progress: bool) -> PointSource:
        from genlib.data.reading.points import PointSource

        return PointSource(self.name, self.version, self.point_set())


def source_of(value: str) -> Source:
    """The source that answers to this value of data.source; UserError where two do in the same turn, or none does."""
    for turn in TURNS:
        answering = [source for source in sources().values() if source.turn == turn and source.answers(value)]
        if len(answering) > 1:
            names = " and ".join(source.name for source in answering)
            raise UserError(f"data.source {value} is claimed by the sources {names}; remove the plugin of one of them.")
        if answering:
            return answering[0]
    raise UserError(f"data.source {value} is no known source; name one of {', '.join(built_in_names())}, or a path.")


def sources() -> dict[str, Source]:
    """Every source by its name, ours first."""
    return records_of_kind(Source)


def built_in_names() -> list[str]:
    """The values of data.source that are names of sources, neither paths nor names on the hub."""
    return [name for name, source in sources().items() if source.answers_to is None]


def point_set_of(value: str) -> PointSet:
    """The point set that this value of data.source names; UserError where it names something else."""
    source = source_of(value)
    if not isinstance(source, SourceOfPoints):
        known = ", ".join(name for name, known in sources().items() if known.is_points)
        raise UserError(f"data.source {value} is no known set of points; install its plugin, or name one of {known}.")
    return source.point_set()
