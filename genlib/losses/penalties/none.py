"""No penalty."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlib.losses.penalties import Penalty


class NoPenalty(Penalty):
    """No penalty."""

    limits_slope: ClassVar[bool] = False

    name: Literal["none"] = "none"
