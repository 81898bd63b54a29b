"""Images drawn for captions, as a classifier reads them; and captions under the model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from genlib.config.metrics import Metric
from genlib.evaluation.estimates import Findings, over_images

if TYPE_CHECKING:
    from genlib.config.run import RunConfig
    from genlib.evaluation.scoring.captions import CaptionSet


def agreement(captions: CaptionSet) -> Findings:
    """A metric of something that no caption says is left out."""
    import torch

    readings = captions.readings
    parts = {
        "caption_classes": [reading.classes for reading in readings],
        "caption_places": [reading.places for reading in readings if reading.places is not None],
        "caption_looks": [right for reading in readings for right in reading.looks],
    }
    return Findings({name: over_images(torch.tensor(part).double()) for name, part in parts.items() if len(part) > 1})


def perplexity_of_words(captions: CaptionSet) -> Findings:
    """Nothing for images that no model of captions drew."""
    from genlib.evaluation.statistics.words import perplexity

    if captions.prior is None:
        return Findings()
    return Findings({"caption_perplexity": perplexity(captions.prior, captions.captions)})


def with_captions(metric: Metric, run: RunConfig) -> str | None:
    """A condition that is a caption."""
    if run.condition.is_text:
        return None
    return (
        f"registry.metric ({metric.name}) is of images drawn for captions, and condition is {run.condition.name}; use "
        f"{run.evaluation.features.frechet}."
    )


of_captions = partial(Metric, over="captions", during_training=True, needs=(with_captions,))
CAPTION_CLASSES = of_captions(
    "caption_classes",
    "higher",
    "share of images drawn for captions that show what these name, and nothing else",
    compute=agreement,
    place=80,
)
CAPTION_PLACES = of_captions(
    "caption_places",
    "higher",
    "share of them where all stands as the caption says, of captions that say where",
    compute=agreement,
    place=81,
)
CAPTION_LOOKS = of_captions(
    "caption_looks",
    "higher",
    "share of the captions' words for looks that hold, where what is named is there",
    compute=agreement,
    place=82,
)
CAPTION_PERPLEXITY = of_captions(
    "caption_perplexity",
    "lower",
    "of a word of held-out captions, given those before it",
    compute=perplexity_of_words,
    place=83,
)
