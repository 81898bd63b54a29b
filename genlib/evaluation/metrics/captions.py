"""Images drawn for captions, as a classifier reads them; computed by `genlib.evaluation.scoring.captions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlib.config.metrics import Metric

if TYPE_CHECKING:
    from genlib.config.run import RunConfig


def with_captions(metric: Metric, run: RunConfig) -> str | None:
    """A condition that is a caption."""
    if run.condition.is_text:
        return None
    return (
        f"registry.metric ({metric.name}) is of images drawn for captions, and condition is {run.condition.name}; use "
        f"{run.evaluation.features.frechet}."
    )


CAPTION_CLASSES = Metric(
    "caption_classes",
    "higher",
    "share of images drawn for captions that show what these name, and nothing else",
    over="conditions",
    needs=(with_captions,),
    place=80,
)
CAPTION_PLACES = Metric(
    "caption_places",
    "higher",
    "share of them where all stands as the caption says, of captions that say where",
    over="conditions",
    needs=(with_captions,),
    place=81,
)
CAPTION_LOOKS = Metric(
    "caption_looks",
    "higher",
    "share of the captions' words for looks that hold, where what is named is there",
    over="conditions",
    needs=(with_captions,),
    place=82,
)
CAPTION_PERPLEXITY = Metric(
    "caption_perplexity",
    "lower",
    "of a word of held-out captions, given those before it",
    over="conditions",
    needs=(with_captions,),
    place=83,
)
