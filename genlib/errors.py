"""The one error that a user can mend, and how messages repeat what was given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """Bad input: the message gives the value, the need and the remedy.

    Commands print it on one line and exit with 2.
    """


LONGEST_QUOTE = 200  # characters of what a message repeats of its input
LONGEST_MESSAGE = 2000


def shortened(text: str, most: int = LONGEST_QUOTE) -> str:
    """The text, or its beginning and end where it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end]} ... {text[-end:]} ({len(text):,} characters)"


def quoted(value: Any) -> str:
    """A given value as a message repeats it: its Python form, shortened."""
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "a number of thousands of digits"


def one_line(message: str) -> str:
    """A message with whatever line breaks the given values had as spaces, and not without end."""
    return shortened(" ".join(message.split()), LONGEST_MESSAGE)


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """', did you mean ...?' when something known is close enough, else nothing."""
    close = difflib.get_close_matches(str(given), list(known), n=1) if len(str(given)) <= LONGEST_QUOTE else []
    return f", did you mean '{close[0]}'?" if close else ""
