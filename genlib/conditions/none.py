"""No condition."""

from __future__ import annotations

from typing import Literal

from genlib.conditions import ConditionConfig


class NoCondition(ConditionConfig):
    """p(image), or p(image | label) where method.conditioning says how a label is taken."""

    name: Literal["none"] = "none"
