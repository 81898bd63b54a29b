"""Labels as the condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.choices.choice import rule
from genlib.conditions import ConditionConfig

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


class LabelCondition(ConditionConfig):
    """p(image | label); method.conditioning says how it is taken."""

    is_label: ClassVar[bool] = True

    name: Literal["label"] = "label"

    @rule
    def needs_a_method_that_takes_labels(self, run: RunConfig, key: str) -> str | None:
        """condition: label needs method.conditioning."""
        if run.method.takes_labels:
            return None
        return (
            f"{key} is label, and method.conditioning is none: it says how a label is taken; use "
            "method.conditioning=concat."
        )
