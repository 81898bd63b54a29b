"""Settings of the condition caption; free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from genlib.choices.choice import rule
from genlib.choices.discovery import kind_of_choice, names_where
from genlib.conditions import ConditionConfig
from genlib.errors import UserError

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.contexts.base import Condition, Shape


class CaptionCondition(ConditionConfig):
    """p(image | its caption), and p(next word | words before it); for data.scenes."""

    is_text: ClassVar[bool] = True

    name: Literal["caption"] = "caption"

    def build(self, image_shape: Shape, names: Sequence[str] | None = None) -> Condition:
        from genlib.conditions.caption.condition import Captions

        if not names:
            raise UserError("condition caption needs data with captions; set data.scenes.")
        return Captions(image_shape, names)

    @rule
    def needs_captions(self, run: RunConfig, key: str) -> str | None:
        """condition: caption needs data.scenes."""
        if run.data.scenes is not None:
            return None
        return f"{key} is caption, and the data has none; set data.scenes, such as 20000."

    @rule
    def needs_a_method_that_takes_captions(self, run: RunConfig, key: str) -> str | None:
        """condition: caption needs a method that takes captions, without method.conditioning."""
        method = run.method
        if method.takes_captions and not method.takes_labels:
            return None
        families = names_where(kind_of_choice(method), "takes_captions")
        return (
            f"{key} is caption, which {method.name} does not take{' beside labels' * method.takes_captions}; use "
            f"method.name {families} without conditioning."
        )
