"""The state of a training: parts, each of which saves and loads itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from genlib.storage.tensors import Loadable


class Part(Loadable, Protocol):
    """A part of the state, saved as tensors by their names; a torch module is one."""

    def state_dict(self) -> dict[str, Any]: ...


class Numbers(Part, Protocol):
    """A part that is saved as values of JSON under its own `keys`.

    Of what is loaded it takes these alone; where an older checkpoint lacks one, it is as in a new run.
    """

    keys: ClassVar[tuple[str, ...]]


class TrainingState(NamedTuple):
    """All that a training continues from."""

    method: Part
    average: Part
    optimizers: Part
    numbers: Sequence[Numbers]
