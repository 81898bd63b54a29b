"""Checks of the numbers that a request for samples holds, be it a command, a flow or a question to a served model."""

from __future__ import annotations

import math
import reprlib
from numbers import Integral

from genlib.errors import UserError
from genlib.runtime.capacity import free_memory, size

MOST_WHOLE = 2**63 - 1  # of a seed or a count: MLflow's type for them has 64 bits, with a sign


def whole(value: object, name: str, least: int = 0, most: int = MOST_WHOLE) -> int:
    """The int that was given, as 3, as 3.0 or as NumPy's; UserError for every other value, type or size."""
    if isinstance(value, bool) or not isinstance(value, Integral | float) or not is_whole(value):
        raise UserError(f"{name} ({shown(value)}) must be a whole number, such as {max(least, 1)}.")
    number = int(value)
    if number < least:
        raise UserError(f"{name} ({shown(value)}) must be at least {least}.")
    if number > most:
        raise UserError(f"{name} ({shown(value)}) must be at most {most}.")
    return number


def is_whole(value: Integral | float) -> bool:
    return not isinstance(value, float) or value.is_integer()  # NaN and infinity are not


def finite(value: object, name: str, least: float, most: float) -> float:
    """The float that was given; UserError for NaN, infinity, another type, and numbers outside least to most."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UserError(f"{name} ({shown(value)}) must be a number from {least:g} to {most:g}.")
    return float(value)


def shown(value: object) -> str:
    """A value as an error quotes it: a number as it is, short, and text in quotes."""
    return str(value) if isinstance(value, float) else reprlib.repr(value)


def check_memory(count: int, shape: tuple[int, ...], name: str = "count") -> None:
    """UserError where `count` samples of this shape, and a copy to be written, do not fit into the free memory."""
    one = 2 * math.prod(shape) * (4 if len(shape) == 1 else 1)  # points are float32, pixels uint8
    free = free_memory()
    if count * one > free:
        what = "points" if len(shape) == 1 else f"images of {'x'.join(map(str, shape))}"
        raise UserError(
            f"{name} ({count}): so many {what} and a copy to be written need {size(count * one)} of memory, and "
            f"{size(free)} are free; ask for {free // one} at most, and again with another seed."
        )
