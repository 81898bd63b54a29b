"""Things without keys of their own that are found by looking, such as metrics and sources of data.

A kind of record is a class derived from Record, often a frozen dataclass, which names the package that its records lie
in. A record is an instance of it, the value of a variable of a module there (or one of a tuple that is), ours or a
plugin's: see `genlib/choices/discovery.py`.
"""

from __future__ import annotations

from typing import ClassVar


class Record:
    """One of several values that files declare; `name` says which."""

    folder: ClassVar[str]  # dotted name of the package that the kind's records lie in
    noun: ClassVar[str]  # what one record is called in messages, such as "metric"

    name: str
